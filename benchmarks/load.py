"""A published generation onto a host; limit: copy, sync and sha256 of the same files, no more.

A load also ingests, decodes and checks every row, and renames; `activate` proves and swaps.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.frame import Goal, Row, in_turns, row, timed_s
from benchmarks.world import World
from bulkload.activate import activate
from bulkload.load import load
from impressions.shell.settings import Settings

_RUNS = 3


def run(world: World) -> Iterator[Row]:
    """Seconds per GB until servable, and the swap alone."""
    size_gb, numbers = world.manifest.size_bytes / 1e9, count()
    swaps_s: list[float] = []

    def loading_s() -> float:
        settings = world.settings(f"load-{next(numbers)}")
        loaded_s = timed_s(lambda: load(settings, world.manifest.generation))
        swaps_s.append(timed_s(lambda: activate(settings, world.manifest.generation)))
        _check(world, settings)
        shutil.rmtree(settings.home_dir)
        return loaded_s + swaps_s[-1]

    def copying_s() -> float:
        target = world.home / f"copy-{next(numbers)}"
        taken_s = timed_s(lambda: _copy(world, target))
        shutil.rmtree(target)
        return taken_s

    found = in_turns({"ours": loading_s, "limit": copying_s}, _RUNS)
    yield row(
        "load",
        f"load + activate, {size_gb:.2f} GB",
        found["ours"] / size_gb,
        "s/GB",
        limit=found["limit"] / size_gb,
        goal=Goal("ratio_to_limit", "<=", 1.3),
    )
    swap_s = sorted(swaps_s)[len(swaps_s) // 2]
    yield row("load", "activate alone", swap_s, "s", goal=Goal("ours", "<=", 1))


def _check(world: World, settings: Settings) -> None:
    """The files on the host are those that were published."""
    installed = settings.host_dir / "generations" / world.manifest.generation / "db"
    found = {_sha256(path) for path in installed.rglob("*.sst")}
    if found != {file.sha256 for file in world.manifest.files}:
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
