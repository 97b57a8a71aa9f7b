"""A generation of the aggregate table to SST files; limit: cp and sha256 of the same files.

The job as it ships, manifest included; the generation is the one that `compact` has made. CPU is
of this process, the kernel's included. A cp here is one core's work, and the job has both: that is
what `/ limit` of the rates holds.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from batch.export import export as run_export
from batch.exporting.job import Exporting
from benchmarks import cores, lake
from benchmarks.compact_job import published
from benchmarks.compacting import in_spark
from benchmarks.frame import Goal, Row, in_turns, or_nan, row, timed_s
from benchmarks.lake import Lake
from benchmarks.world import CUTOVER_MS, SPEC, World, check
from impressions.core import window
from impressions.core.merge import plus
from impressions.formats import manifest as manifests
from impressions.formats import profile_block
from impressions.formats.generation_paths import MANIFEST
from impressions.formats.manifest import Manifest
from impressions.rocksdb import generation_store
from impressions.terminal.console import say
from impressions.terminal.report import start_run
from tests.compare import as_dict

_RUNS = 3


def run(world: World) -> Iterator[Row]:
    """CPU of a row, bytes of SST per second, and the rows behind them."""
    published(world)
    data, numbers = lake.lake_of(world), count()
    made: list[Path] = []
    cpu_s: dict[str, list[float]] = {"ours": [], "limit": []}

    def exporting_s() -> float:
        target = world.home / f"exported-{next(numbers)}"
        seconds = _timed_s(partial(_export, data, target), cpu_s["ours"])
        made.append(target)
        while len(made) > 1:
            shutil.rmtree(made.pop(0))
        return seconds

    def copying_s() -> float:
        target = world.home / "copied"
        seconds = _timed_s(partial(_copy, made[-1], target), cpu_s["limit"])
        shutil.rmtree(target)
        return seconds

    with cores.all_for_this():
        exporting_s()
        cpu_s["ours"].clear()
        manifest = _manifest(made[-1])
        _check(data, made[-1], manifest)
        say(f"bench: export: {manifest.entries:,} entries, a profile of each shard is right")
        found = in_turns({"ours": exporting_s, "limit": or_nan("cp + sha256", copying_s)}, _RUNS)
    size, entries = manifest.size_bytes, manifest.entries
    what = f"{size / 1e6:.0f} MB of SST, {entries / 1e6:.1f} M entries"
    cpu_us = {name: median(taken or [math.nan]) / entries * 1e6 for name, taken in cpu_s.items()}
    yield row("export", f"{what}, CPU; limit: cp + sha256", cpu_us["ours"], "us/entry",
              limit=cpu_us["limit"])  # fmt: skip
    yield row(
        "export", what, size / 1e6 / found["ours"], "MB/s", limit=size / 1e6 / found["limit"],
        goal=Goal("ratio_to_limit", ">=", 0.3),
    )  # fmt: skip
    yield row("export", "entries", entries / found["ours"], "rows/s")


def _timed_s(work: Callable[[], object], cpu_s: list[float]) -> float:
    """Seconds of one call; its CPU seconds are added to the list."""
    began_s = time.process_time()
    seconds = timed_s(work)
    cpu_s.append(time.process_time() - began_s)
    return seconds


def _export(data: Lake, target: Path) -> None:
    settings = data.settings.model_copy(update={"generations_uri": str(target)})
    run_export(Exporting.of(settings, CUTOVER_MS, start_run("export")))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    for path in target.rglob("*.sst"):
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")


def _manifest(target: Path) -> Manifest:
    path = next(target.rglob(MANIFEST))
    return manifests.decode(path.read_bytes(), str(path))


def _check(data: Lake, target: Path, manifest: Manifest) -> None:
    """The first profile of each shard, got from a store of them, is what the table has of it."""
    ema, store = data.spark.table(data.ema), target.with_name("store")
    first = {file.shard: file for file in reversed(manifest.files)}
    copies = {shard: [target / f"{shard}.sst"] for shard in first}
    for shard, file in first.items():
        shutil.copyfile(target / manifest.generation / file.path, copies[shard][0])
    generation_store.create(store, copies)
    db = generation_store.open_read_only(store, copies)
    for file in first.values():
        profile = int(file.min_key, 16)
        block = profile_block.decode(db.get(file.shard, bytes.fromhex(file.min_key)) or b"", SPEC)
        rows = plus([block.rows(), block.tail_from(window.first_day(CUTOVER_MS, SPEC))], SPEC)
        found = as_dict(profile, rows, SPEC)
        check(f"export of profile {profile}", found, in_spark(ema, [profile]))
    db.close()
    shutil.rmtree(store)
