"""One point read of a warm generation; limit: pread of the same bytes from the same files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.frame import Goal, Row, median_s, row
from benchmarks.world import World, cycle, generation_name
from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.formats.generation_paths import HostPaths, shard_dir
from impressions.rocksdb import generation_store

_READS = 200
_SEQUENCE_BYTES = 8  # RocksDB appends sequence number and type to each key


def run(world: World) -> Iterator[Row]:
    """Random profiles of the whole generation, each read once before."""
    settings = world.loaded
    directory = HostPaths(settings.host_dir).store(generation_name())
    files = {shard: _sst_of(directory / shard_dir(shard)) for shard in settings.host_shards}
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _READS).tolist()
    store = generation_store.open_read_only(directory, settings.host_shards)
    descriptors: dict[int, int] = {}
    try:
        descriptors = {shard: os.open(path, os.O_RDONLY) for shard, path in files.items()}
        contents = {shard: path.read_bytes() for shard, path in files.items()}
        gets: list[Callable[[], object]] = []
        preads: list[Callable[[], object]] = []
        for profile_id in ids:
            shard, key = shard_of(profile_id, settings.partitions), profile_key(profile_id)
            expected = world.profile(profile_id).block
            offset = _offset(contents[shard], key, expected)
            gets.append(partial(store.get, shard, key))
            preads.append(partial(os.pread, descriptors[shard], len(expected), offset))
            if not gets[-1]() == preads[-1]() == expected:
                raise AssertionError(f"store: profile {profile_id} is not what was published")
        taken_s = median_s({"get": cycle(gets), "pread": cycle(preads)})
    finally:
        store.close()
        for descriptor in descriptors.values():
            os.close(descriptor)
    size_kb = sum(len(world.profile(i).block) for i in ids) / _READS / 1e3
    yield row(
        "store",
        f"warm get of {size_kb:.0f} KB",
        taken_s["get"] / _READS * 1e6,
        "us",
        limit=taken_s["pread"] / _READS * 1e6,
        goal=Goal("ratio_to_limit", "<=", 2),
    )


def _sst_of(directory: Path) -> Path:
    (path,) = directory.glob("*.sst")
    return path


def _offset(data: bytes, key: bytes, value: bytes) -> int:
    """Where the value stands in the file: behind its key."""
    at = data.find(key)
    while at >= 0:
        start = at + len(key) + _SEQUENCE_BYTES
        if data[start : start + len(value)] == value:
            return start
        at = data.find(key, at + 1)
    raise AssertionError(f"store: key {key.hex()} is not in its file")
