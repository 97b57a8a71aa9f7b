"""A day of impressions into its closed form; limit: Spark's sort and write of the same rows.

The day arrived in 24 landings a shard, and the day before it is closed. In it are copies of logs
that were sent before, some of them the day before: closing has to find them all. The limit reads
the same rows, deals them out by shard, sorts and writes them as Parquet: no flags, no commit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from batch import closing, snapshots
from batch.close import Request, run_close
from batch.report import start_report
from benchmarks import cores, jvm, lake
from benchmarks.frame import Goal, Row, in_turns, row
from benchmarks.lake import SHARDS, Lake
from benchmarks.peers.sort_and_write import sort_and_write
from benchmarks.world import CUTOVER_MS, World
from impressions.spec import DAY_MS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RUNS, _LANDINGS = 3, 24
_SLOT_MS = CUTOVER_MS - DAY_MS
_ROWS_OF_A_PROFILE = 80
_COPIED = 100  # one log in so many is sent again


def run(world: World) -> Iterator[Row]:
    """Rows per second of the job as it ships, commit included."""
    data = _landed(world)
    landed_id = snapshots.state(data.spark, data.raw).snapshot_id
    slot = data.spark.table(data.raw).where(closing.in_slots([_SLOT_MS], data.settings.spec))
    target, meter = world.home / "sorted", jvm.Meter(data.spark)

    def closing_s() -> float:
        seconds = meter.seconds("ours", partial(_close, data))
        _check(data)
        _roll_back(data, landed_id)
        return seconds

    def sorting_s() -> float:
        seconds = meter.seconds("limit", partial(sort_and_write, slot, target, SHARDS))
        shutil.rmtree(target)
        return seconds

    with cores.all_for_this():
        rows = slot.count()
        closing_s(), sorting_s()  # compiled, and the files in the page cache
        found = in_turns({"ours": closing_s, "limit": sorting_s}, _RUNS)
    yield row(
        "close", f"one slot of {rows / 1e6:.1f} M rows", rows / found["ours"], "rows/s",
        limit=rows / found["limit"], goal=Goal("ratio_to_limit", ">=", 0.8),
    )  # fmt: skip
    cpu_us = {name: meter.cpu_s(name) / rows * 1e6 for name in meter.taken_s}
    yield row("close", "CPU", cpu_us["ours"], "us/row", limit=cpu_us["limit"])


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
    report = start_report("close", {})
    run_close(data.spark, data.settings, Request(slots=(slot_ms,)), report, dry_run=False)
    if not report.changed:
        raise AssertionError(f"close: slot {slot_ms} was closed already")


def _roll_back(data: Lake, snapshot_id: int | None) -> None:
    """The table as the landings left it."""
    catalog, name = data.raw.split(".", 1)
    data.spark.sql(f"CALL {catalog}.system.rollback_to_snapshot('{name}', {snapshot_id})")


def _check(data: Lake) -> None:
    """Flagged are the copies and nothing else; one file per shard, sorted."""
    from pyspark.sql import functions as F

    slot = data.spark.table(data.raw).where(closing.in_slots([_SLOT_MS], data.settings.spec))
    copied = F.col("log_offset") >= data.rows
    wrong = slot.where(~F.col("duplicate").eqNullSafe(copied)).count()
    files = [row[0] for row in slot.select(F.input_file_name()).distinct().collect()]
    if wrong or len(files) != SHARDS:
        raise AssertionError(f"close: {wrong} flags are wrong, {len(files)} files, not {SHARDS}")
    for file in files:
        order = ["profile_id", "title_id", "event_time"]
        keys = pq.read_table(file.removeprefix("file:"), columns=order)
        columns = [keys.column(name).cast("int64").to_numpy() for name in order]
        if (np.lexsort(columns[::-1]) != np.arange(len(columns[0]))).any():
            raise AssertionError(f"close: {file} is not sorted by {order}")
