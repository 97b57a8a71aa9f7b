"""A published generation onto a host; limit: copy, sync and sha256 of the same files, no more.

A load also ingests, decodes and checks every row, and renames; `activate` proves and swaps. Both
may use every core: a load works on two files at a time, the limit is `cp` and `sha256sum` one after
the other. CPU time is of this process, the kernel's included. How swaps look to callers is measured
by benchmarks/swaps.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import cores, swaps
from benchmarks.frame import Goal, Row, in_turns, row, timed_s
from benchmarks.world import World
from bulkload.activate import activate
from bulkload.load import load
from impressions.formats.manifest import Manifest
from impressions.settings.model import Settings

_RUNS = 5


@dataclass(frozen=True)
class Loaded:
    """What a load and its activation took."""

    load_s: float
    activate_s: float
    cpu_s: float


def run(world: World) -> Iterator[Row]:
    """Seconds per GB until servable, the swap alone, and swaps under load."""
    size_gb, numbers = world.manifest.size_bytes / 1e9, count()
    loads, copies_cpu_s = list[Loaded](), list[float]()

    def loading_s() -> float:
        loads.append(loaded(world.settings(f"load-{next(numbers)}"), world.manifest))
        return loads[-1].load_s + loads[-1].activate_s

    def copying_s() -> float:
        taken_s, cpu_s = copied(world, world.home / f"copy-{next(numbers)}")
        copies_cpu_s.append(cpu_s)
        return taken_s

    with cores.all_for_this():
        found = in_turns({"ours": loading_s, "limit": copying_s}, _RUNS)
    yield row("load", f"load + activate, {size_gb:.2f} GB", found["ours"] / size_gb, "s/GB",
              limit=found["limit"] / size_gb, goal=Goal("ratio_to_limit", "<=", 1.3))  # fmt: skip
    yield row("load", "load + activate, CPU", median(each.cpu_s for each in loads) / size_gb,
              "s/GB", limit=median(copies_cpu_s) / size_gb)  # fmt: skip
    yield row("load", "activate alone", median(each.activate_s for each in loads), "s",
              goal=Goal("ours", "<=", 1))  # fmt: skip
    yield from swaps.rows(world)


def loaded(settings: Settings, manifest: Manifest) -> Loaded:
    """Load and activate on a host of its own, which is removed afterwards."""
    before_s = time.process_time()
    load_s = timed_s(lambda: load(settings, manifest.generation))
    activate_s = timed_s(lambda: activate(settings, manifest.generation))
    cpu_s = time.process_time() - before_s
    _check(settings, manifest)
    shutil.rmtree(settings.home_dir)
    return Loaded(load_s, activate_s, cpu_s)


def copied(world: World, target: Path) -> tuple[float, float]:
    """The limit: seconds, and seconds of CPU."""
    before_s = time.process_time()
    taken_s = timed_s(lambda: _copy(world, target))
    cpu_s = time.process_time() - before_s
    shutil.rmtree(target)
    return taken_s, cpu_s


def _check(settings: Settings, manifest: Manifest) -> None:
    """The files on the host are those that were published."""
    installed = settings.host_dir / "generations" / manifest.generation / "db"
    found = {_sha256(path) for path in installed.rglob("*.sst")}
    if found != {file.sha256 for file in manifest.files}:
        raise AssertionError("load: files on the host differ from those published")


def _copy(world: World, target: Path) -> None:
    target.mkdir(parents=True)
    source = world.home / "published" / world.manifest.generation
    for number, file in enumerate(world.manifest.files):
        copied = target / str(number)
        shutil.copyfile(source / file.path, copied)
        with copied.open("rb") as stream:
            os.fsync(stream.fileno())
        if _sha256(source / file.path) != file.sha256:
            raise AssertionError(f"load: {file.path} is not what its manifest says")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
