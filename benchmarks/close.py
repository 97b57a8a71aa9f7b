"""A day of impressions into its closed form; limit: Arrow's sort and write of the same rows.

The day arrived in 24 landings a shard, and the day before it is closed. In it are copies of logs
that were sent before, some of them the day before: closing has to find them all. The limit sorts
the same rows by the same columns and writes them, on one core: nothing is read, no flags, no
commit. The peer is Spark's own sort and write, with every core; its CPU is that of the JVM. Without
the counts of a day for its quality (batch/quality) the same close is measured too; its peer is the
close with them, so the ratio is what counting costs.
"""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.close import run_close
from batch.closing.request import Request
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import locations, snapshots, tables
from batch.lake.data_files import LiveFile, live_files
from batch.lake.sort_order import KEYS
from batch.quality.counts import Counts
from benchmarks import cores, jvm, lake
from benchmarks.frame import Goal, Row, in_turns, or_nan, row, timed_s
from benchmarks.lake import SHARDS, Lake
from benchmarks.peers.sort_and_write import sort_and_write
from benchmarks.world import CUTOVER_MS, World
from impressions.clock import now_ms
from impressions.core.spec import DAY_MS
from impressions.terminal.console import say
from impressions.terminal.report import start_run
from tests.memory import peak_rss_bytes

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame

_RUNS, _LANDINGS = 3, 24
_SLOT_MS = CUTOVER_MS - DAY_MS
_ROWS_OF_A_PROFILE = 80
_COPIED = 100  # one log in so many is sent again


def run(world: World) -> Iterator[Row]:
    """CPU of a row, and rows per second of the job as it ships, commit included."""
    data = _landed(world)
    landed_id = snapshots.state(_raw(data)).snapshot_id
    slot = data.spark.table(data.raw).where(f"ingest_slot = timestamp_millis({_SLOT_MS})")
    target, meter = world.home / "sorted", jvm.Meter(data.spark)
    cpu_s: dict[str, list[float]] = {"ours": [], "uncounted": [], "limit": []}

    def closing_s(name: str = "ours") -> float:
        began_s = time.process_time()
        seconds = timed_s(partial(_close, data))
        cpu_s[name].append(time.process_time() - began_s)
        _check(data)
        _roll_back(data, landed_id)
        return seconds

    def uncounted_s() -> float:
        with patch("batch.closing.place.count", lambda rows, slot_us: Counts()):
            return closing_s("uncounted")

    def sorting_s() -> float:
        rows = _rows(data)
        began_s = time.process_time()
        seconds = timed_s(partial(_sort_and_write, rows, target))
        cpu_s["limit"].append(time.process_time() - began_s)
        shutil.rmtree(target)
        return seconds

    def spark_s() -> float:
        seconds = meter.seconds("peer", partial(sort_and_write, slot, target, SHARDS))
        shutil.rmtree(target)
        return seconds

    with cores.all_for_this():
        rows = slot.count()
        works = {
            "ours": closing_s, "uncounted": uncounted_s,
            "limit": or_nan("Arrow's sort and write", sorting_s),
            "peer": or_nan("Spark's sort and write", spark_s),
        }  # fmt: skip
        closing_s(), works["peer"]()  # loaded, compiled, and the files in the page cache
        cpu_s["ours"].clear()
        say(f"bench: close: {rows:,} rows in {_LANDINGS} landings, flags are right; measuring")
        found = in_turns(works, _RUNS)
    cpu_us = {
        name: statistics.median(taken or [math.nan]) / rows * 1e6 for name, taken in cpu_s.items()
    }
    yield row(
        "close", f"CPU, one slot of {rows / 1e6:.1f} M rows", cpu_us["ours"], "us/row",
        peer=meter.median_or_nan("peer") / rows * 1e6, limit=cpu_us["limit"],
        goal=Goal("ours", "<=", 1.3),
    )  # fmt: skip
    yield row(
        "close", "the same without counts for the quality of days", cpu_us["uncounted"], "us/row",
        peer=cpu_us["ours"],
    )  # fmt: skip
    yield row("close", "rate", rows / found["ours"], "rows/s", peer=rows / found["peer"])
    peak_mb = peak_rss_bytes() / (1 << 20)
    yield row("close", "peak memory, with what made the data", peak_mb, "MB")


def _raw(data: Lake) -> Table:
    return tables.require(data.settings, tables.RAW, hint="")


def _files(data: Lake) -> list[LiveFile]:
    """Data files of the slot."""
    raw = _raw(data)
    return [f for f in live_files(raw, snapshots.main_id(raw)) if f.slot_ms == _SLOT_MS]


def _rows(data: Lake) -> list[pa.Table]:
    """The rows of each shard, as they landed."""
    by_shard: dict[int, list[pa.Table]] = {}
    for file in _files(data):
        rows = pq.ParquetFile(locations.local_path(file.path)).read()
        by_shard.setdefault(file.shards[0], []).append(rows)
    return [pa.concat_tables(some) for some in by_shard.values()]


def _sort_and_write(shards: list[pa.Table], target: Path) -> None:
    target.mkdir()
    for n, rows in enumerate(shards):
        order = [(name, "ascending") for name in KEYS]
        pq.write_table(rows.sort_by(order), target / f"{n}.parquet", compression="zstd")


def _landed(world: World) -> Lake:
    """The day before, closed, and the day itself as landings leave it; a tenth of the lake each."""
    rows = lake.whole_logs(lake.full_rows(world) // 10, _LANDINGS * SHARDS)
    data = lake.empty(world, "close", 2 * rows, _ROWS_OF_A_PROFILE)
    with cores.all_for_this():
        lake.append(data, _day(data, 0, rows), CUTOVER_MS)
        _close(data, _SLOT_MS - DAY_MS)
        lake.append(data, _day(data, rows, 2 * rows), CUTOVER_MS)
    return data


def _day(data: Lake, first: int, end: int) -> DataFrame:
    """Rows [first, end): one task per (landing, shard), copies of some logs in their shard's."""
    from pyspark.sql import functions as F

    files = _LANDINGS * SHARDS
    ids = data.spark.range(first, end, 1, files)
    shard = F.call_function("div", F.col("id"), F.lit((end - first) // files)) % SHARDS
    slot_ms = F.lit(_SLOT_MS if first else _SLOT_MS - DAY_MS)
    fresh = lake.filled(data, ids, slot_ms, shard)
    if not first:
        return fresh
    # Its own logs once more at the end of the day, and the same number of the day before.
    again = lake.filled(data, ids, slot_ms, shard).where(F.col("log_offset") % _COPIED == 0)
    earlier = lake.filled(data, ids.withColumn("id", F.col("id") - first), slot_ms, shard)
    copies = again.unionByName(earlier.where(F.col("log_offset") % _COPIED == 1))
    late = F.timestamp_millis(F.lit(_SLOT_MS + DAY_MS - 1))
    copies = copies.withColumn("ingest_time", late)
    return fresh.unionByName(copies.withColumn("log_offset", F.col("log_offset") + end))


def _close(data: Lake, slot_ms: int = _SLOT_MS) -> None:
    context = Context(data.settings, start_run("close"), Runner(), now_ms)
    if not run_close(context, Request(slots=(slot_ms,))).changed:
        raise AssertionError(f"close: slot {slot_ms} was closed already")


def _roll_back(data: Lake, snapshot_id: int | None) -> None:
    """The table as the landings left it."""
    catalog, name = data.raw.split(".", 1)
    data.spark.sql(f"CALL {catalog}.system.rollback_to_snapshot('{name}', {snapshot_id})")


def _check(data: Lake) -> None:
    """Flagged are the copies and nothing else; each file is sorted."""
    seen = wrong = 0
    for file in _files(data):
        rows = pq.ParquetFile(locations.local_path(file.path)).read()
        copied = rows["log_offset"].to_numpy() >= data.rows
        wrong += int((rows["duplicate"].to_numpy(zero_copy_only=False) != copied).sum())
        seen += rows.num_rows
        columns = [rows[name].cast("int64").to_numpy() for name in KEYS]
        if (np.lexsort(columns[::-1]) != np.arange(rows.num_rows)).any():
            raise AssertionError(f"close: {file.path} is not sorted by {KEYS}")
    if wrong or not seen:
        raise AssertionError(f"close: {wrong} flags of {seen} rows are wrong")
