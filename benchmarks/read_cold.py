"""Reads of a store that is not in memory; peer: the plain front, limit: pread of as many bytes.

A turn begins with none of the store in the page cache, and asks for each profile once: every read
goes to the disk, as of a store many times as large as memory. Nothing of the system is changed for
it and no right is needed: while no server maps the files, `posix_fadvise(DONTNEED)` makes the
kernel forget them, and `mincore` says whether it did; a turn that would not be cold ends the stage.
Beside the cold reads a few warm profiles are asked for: what they wait is what a cold disk costs
others.
The limit reads a block's length at the place of a block, at the same rate, one after the other.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import server as servers
from benchmarks.asking import check_titles, request_of
from benchmarks.frame import Row, row
from benchmarks.load_client import Client, Latency
from benchmarks.world import World, generation_name
from impressions.formats.generation_paths import HostPaths
from impressions.terminal.console import say

_BYTES, _QUICK_BYTES = 1_500 << 20, 32 << 20
_COLD_PER_S, _WARM_PER_S, _SECONDS, _RUNS = 100.0, 200.0, 6.0, 3
_WARM_PROFILES = 16
_STILL_THERE = 0.02
"""The share of the store that may be in memory when a turn begins: what opening it has read."""


@dataclass(frozen=True)
class Turn:
    """What one turn found: milliseconds, and bytes and microseconds of CPU of a cold request."""

    p50_ms: float
    p99_ms: float
    warm_p99_ms: float
    bytes_read: float
    cpu_us: float


_NONE = Turn(*[math.nan] * 5)


def run(world: World) -> Iterator[Row]:
    """Latency and bytes of cold reads, and what warm reads beside them wait."""
    cold = _store(world)
    files = sorted(HostPaths(cold.loaded.host_dir).store(generation_name()).rglob("*.sst"))
    say(f"bench: read_cold: {len(cold.profile_ids):,} profiles, {_mb(files):,.0f} MB made")
    works: dict[str, Callable[[], Turn]] = {
        "ours": partial(_asked, cold, files, "loop"),
        "peer": partial(_or_none, "plain front", partial(_asked, cold, files, "grpc")),
        "limit": partial(_pread, cold, files),
    }
    turns: dict[str, list[Turn]] = {name: [] for name in works}
    for _ in range(_RUNS):
        for name, work in works.items():
            turns[name].append(work())
    found = {
        name: Turn(*(median(getattr(turn, each) for turn in of) for each in Turn.__annotations__))
        for name, of in turns.items()
    }
    what = f"cold, {_COLD_PER_S:.0f} requests/s of {_mb(files):,.0f} MB"
    for each, named, unit in (
        ("cpu_us", "server CPU", "us/request"),
        ("p50_ms", "p50", "ms"),
        ("p99_ms", "p99", "ms"),
        ("bytes_read", "read from the disk", "B/request"),
        ("warm_p99_ms", f"p99 of {_WARM_PER_S:.0f} warm reads/s beside them", "ms"),
    ):
        ours, peer, limit = (getattr(found[name], each) for name in ("ours", "peer", "limit"))
        yield row("read", f"{what}, {named}; peer: plain front", ours, unit, peer=peer, limit=limit)


def _store(world: World) -> World:
    """A host of its own with a large generation."""
    home = world.home / "cold"
    home.mkdir()
    cold = World(home, world.seed, _QUICK_BYTES if world.is_quick else _BYTES)
    cold.profiles = world.profiles
    return cold


def _asked(cold: World, files: list[Path], front: str) -> Turn:
    """A server that has just started, asked for profiles that nobody has asked for."""
    warm, ids = _drawn(cold)
    _forget(files)
    with servers.real(cold, front) as server, Client(server.address, "GetProfile") as client:
        warm_requests = [request_of(cold, i) for i in warm]
        for request in warm_requests:
            client.call(request)
        requests = [request_of(cold, i) for i in ids]
        check_titles("read_cold", cold, ids[0], client.call(requests.pop(0)))
        before_b, before_s = _read_bytes(server.pid), server.cpu_s()
        seen: list[Latency] = []
        beside = threading.Thread(
            target=lambda: seen.append(client.open(warm_requests, _WARM_PER_S, _SECONDS))
        )
        beside.start()
        latency = client.open(requests, _COLD_PER_S, _SECONDS)
        beside.join()
        read, cpu_s = _read_bytes(server.pid) - before_b, server.cpu_s() - before_s
    if not seen:
        raise RuntimeError("read_cold: warm reads beside the cold ones failed")
    answered = len(requests) * (1 + _WARM_PER_S / _COLD_PER_S)
    return Turn(
        latency.p50_ms, latency.p99_ms, seen[0].p99_ms, read / len(requests),
        cpu_s / answered * 1e6,
    )  # fmt: skip


def _or_none(name: str, work: Callable[[], Turn]) -> Turn:
    """NaN throughout, and said why, where a peer fails."""
    try:
        return work()
    except Exception as error:
        say(f"bench: {name} failed, its columns stay empty: {error}")
        return _NONE


def _drawn(cold: World) -> tuple[list[int], list[int]]:
    """Profiles that are kept warm, and the others, in the order in which they are asked."""
    count = min(1 + int(_COLD_PER_S * _SECONDS), len(cold.profile_ids) - _WARM_PROFILES)
    rng = np.random.default_rng(cold.seed)
    ids = rng.choice(cold.profile_ids, _WARM_PROFILES + count, replace=False).tolist()
    return ids[:_WARM_PROFILES], ids[_WARM_PROFILES:]


def _pread(cold: World, files: list[Path]) -> Turn:
    """The bare disk: a block's bytes at random places, each counted from when it was due."""
    _forget(files)
    rng, size = np.random.default_rng(cold.seed), len(cold.profiles[0].block)
    descriptors = [os.open(path, os.O_RDONLY) for path in files]
    taken_ms, count = [], int(_COLD_PER_S * _SECONDS)
    try:
        before_b, started_s = _read_bytes(os.getpid()), time.perf_counter()
        cpu_s = time.thread_time()
        for i in range(count):
            descriptor = descriptors[rng.integers(len(descriptors))]
            offset = int(rng.integers(max(1, os.fstat(descriptor).st_size - size)))
            due_s = started_s + i / _COLD_PER_S
            time.sleep(max(0.0, due_s - time.perf_counter()))
            os.pread(descriptor, size, offset)
            taken_ms.append((time.perf_counter() - due_s) * 1e3)
        cpu_us = (time.thread_time() - cpu_s) / count * 1e6
        read = (_read_bytes(os.getpid()) - before_b) / count
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    p50_ms, p99_ms = np.percentile(taken_ms, [50, 99]).tolist()
    return Turn(p50_ms, p99_ms, math.nan, read, cpu_us)


def _forget(files: list[Path]) -> None:
    """Drop the files from the page cache. Raises RuntimeError where they stay."""
    for path in files:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    there = sum(map(_resident_bytes, files)) / sum(path.stat().st_size for path in files)
    if there > _STILL_THERE:
        raise RuntimeError(f"read_cold: {there:.0%} of the store stay in memory, expected none")


def _resident_bytes(path: Path) -> int:
    """How much of a file is in the page cache, by mincore."""
    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        pages = (len(mapped) + page - 1) // page
        first, said = ctypes.c_char.from_buffer(mapped), (ctypes.c_ubyte * pages)()
        address = ctypes.c_void_p(ctypes.addressof(first))
        failed = libc.mincore(address, ctypes.c_size_t(len(mapped)), said)
        del first
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore of {path}")
    return int((np.frombuffer(bytes(said), np.uint8) & 1).sum()) * page


def _read_bytes(pid: int) -> float:
    """What a process and its children had the disk read; NaN where the system does not tell."""
    process = Path(f"/proc/{pid}")
    try:
        lines = (process / "io").read_text().splitlines()
        children = (process / f"task/{pid}/children").read_text().split()
    except OSError:
        return math.nan
    own = next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    return own + sum(_read_bytes(int(child)) for child in children)


def _mb(files: list[Path]) -> float:
    return sum(path.stat().st_size for path in files) / 1e6
