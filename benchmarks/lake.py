"""A lake of closed slots: what the batch stages read, made by Spark from a seed.

    52 slots, a week apart, x 4 shards       a file per slot, sorted as `close` leaves it
    logs of 20 impressions                   1 in 100 sent twice, and flagged
    a profile                                1,500 titles, some 4.5 impressions of each in the year

Every column is a hash of (row or log, seed), so the same seed gives the same rows whichever program
writes them. An event happened within six days before its ingest.

One Spark session and one lake serve all batch stages of a run: `lake_of(world)`. Starting the JVM
and writing the data are in no figure. Spark has every core, and so has every peer: these stages run
in `cores.all_for_this`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.lake.arrow_columns import integers
from batch.lake.columns import RAW_COLUMNS
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import live_files
from batch.lake.guarded_commit import commit
from batch.lake.locations import local_path
from batch.lake.sort_order import KEYS, in_order, sort_order
from batch.spark.session import spark_session
from benchmarks import cores
from benchmarks.frame import timed_s
from benchmarks.world import CATALOGUE, CUTOVER_MS, World
from impressions.core.shard import shards_of
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.terminal.console import say
from tests.spark import writer

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyspark.sql import Column, DataFrame, SparkSession

SHARDS, SLOTS = 4, 52
TITLES_OF_A_PROFILE = 1_500
ROWS_OF_A_PROFILE = 6_750
ROWS_OF_A_LOG = 20
FULL_ROWS, QUICK_ROWS = 20_800_000, 208_000
_LATE_MS = 6 * DAY_MS


@dataclass(frozen=True)
class Lake:
    """A warehouse with a raw table, and the session that reads it."""

    spark: SparkSession
    settings: Settings
    rows: int
    seed: int
    rows_of_a_profile: int = ROWS_OF_A_PROFILE

    @property
    def raw(self) -> str:
        return tables.full_name(self.settings, tables.RAW)

    @property
    def ema(self) -> str:
        return tables.full_name(self.settings, tables.EMA)


@cache
def lake_of(world: World) -> Lake:
    """The lake of this run, made on first use."""
    return make(world, "lake", full_rows(world))


def full_rows(world: World) -> int:
    """20 M rows, or as many as were asked for; a hundredth where the world is a quick one."""
    if world.raw_rows is not None:
        return world.raw_rows
    return QUICK_ROWS if world.is_quick else FULL_ROWS


def make(world: World, name: str, rows: int) -> Lake:
    """A lake with so many rows in closed slots (rounded to whole logs in every file)."""
    lake = empty(world, name, whole_logs(rows, SLOTS * SHARDS))
    taken_s = timed_s(lambda: append(lake, closed_rows(lake), CUTOVER_MS))
    taken_s += timed_s(lambda: _sorted_by_shard(lake))
    say(f"bench: {lake.rows:,} rows of raw made in {taken_s:.0f} s")
    return lake


def empty(world: World, name: str, rows: int, rows_of_a_profile: int = ROWS_OF_A_PROFILE) -> Lake:
    """A lake whose raw table has no rows yet; starts Spark, once for all lakes."""
    settings = Settings(home=world.home / name, partitions=SHARDS)
    with cores.all_for_this():
        spark = spark_session(settings, "bench")
        tables.create_if_missing(settings, tables.RAW)
    return Lake(spark, settings, rows, world.seed, rows_of_a_profile)


def append(lake: Lake, rows: DataFrame, valid_through_ms: int) -> None:
    """Write rows as each task has them; Iceberg sorts within the task."""
    properties = {snapshots.VALID_THROUGH: str(valid_through_ms)}
    writer(rows.select(*RAW_COLUMNS), lake.raw, properties).append()


def _sorted_by_shard(lake: Lake) -> None:
    """The rows as they are, in the files that a close would write."""
    raw = tables.require(lake.settings, tables.RAW, hint="")
    target, state = target_of(raw), snapshots.state(raw)
    files = live_files(raw, state.snapshot_id)
    slots = {file.slot_ms for file in files}

    def written(slot_ms: int) -> list[DataFile]:
        read = [pq.ParquetFile(local_path(f.path)).read() for f in files if f.slot_ms == slot_ms]
        rows = pa.concat_tables(read)
        order = sort_order(*(integers(rows, name) for name in KEYS))
        return write(target, {"ingest_slot": slot_ms * 1000}, in_order(rows, order))

    with cores.all_for_this():
        made = [file for some in Runner().run("sort", written, sorted(slots)) for file in some]
    said = {snapshots.VALID_THROUGH: str(state.valid_through_ms)}
    commit(raw, made, said, [file.data for file in files])


def whole_logs(rows: int, files: int) -> int:
    """About so many rows, such that each of the files has the same number of whole logs."""
    return max(1, round(rows / files / ROWS_OF_A_LOG)) * ROWS_OF_A_LOG * files


def closed_rows(lake: Lake) -> DataFrame:
    """All rows of the lake, one task per (slot, shard)."""
    from pyspark.sql import functions as F

    files = SLOTS * SHARDS
    ids = lake.spark.range(0, lake.rows, 1, files).withColumn(
        "file", F.call_function("div", F.col("id"), F.lit(lake.rows // files))
    )
    week = F.call_function("div", F.col("file"), F.lit(SHARDS))
    first_ms = CUTOVER_MS - (7 * SLOTS - 6) * DAY_MS
    slot_ms = F.lit(first_ms) + week * F.lit(7 * DAY_MS)
    return filled(lake, ids, slot_ms, F.col("file") % SHARDS).withColumn(
        "duplicate", F.col("log_offset") % 100 == 0
    )


def filled(lake: Lake, ids: DataFrame, slot_ms: Column, shard: Column) -> DataFrame:
    """Columns of raw for `id`, in a slot and shard; `duplicate` is open.

    The log is `id div 20`; `log_offset` holds its number.
    """
    from pyspark.sql import functions as F

    log = F.call_function("div", F.col("id"), F.lit(ROWS_OF_A_LOG))

    def drawn(what: Column, salt: int, below: int) -> Column:
        return F.pmod(F.xxhash64(what, F.lit(lake.seed * 100 + salt)), F.lit(below))

    profiles = profiles_by_shard(lake.rows // lake.rows_of_a_profile // SHARDS)
    # One text: a list would cross to the JVM number by number, a minute for many small profiles.
    listed = F.from_json(F.lit(json.dumps(profiles.tolist())), "array<array<bigint>>")
    of_shard = listed[shard.cast("int")]
    known = ids.select(
        "id",
        slot_ms.alias("slot_ms"),
        shard.cast("int").alias("shard"),
        log.alias("log"),
        of_shard[drawn(log, 1, profiles.shape[1]).cast("int")].alias("profile_id"),
    )
    log, profile = F.col("log"), F.col("profile_id")
    choice = drawn(F.col("id"), 2, TITLES_OF_A_PROFILE)
    title = F.pmod(F.xxhash64(profile, choice), F.lit(CATALOGUE)) + 1
    ingest_ms = F.col("slot_ms") + drawn(log, 3, DAY_MS)
    event_ms = ingest_ms - drawn(log, 4, _LATE_MS) + F.col("id") % ROWS_OF_A_LOG
    place = (F.col("id") % ROWS_OF_A_LOG).cast("int")
    values = {
        "ingest_slot": F.timestamp_millis(F.col("slot_ms")),
        "shard": F.col("shard"),
        "profile_id": profile,
        "title_id": title,
        "location": title * 31 % 40,
        "row": F.floor(place / 5),
        "position": place % 5,
        "event_time": F.timestamp_millis(event_ms),
        "ingest_time": F.timestamp_millis(ingest_ms),
        "played": drawn(F.col("id"), 5, 10) == 0,
        "dwell_s": drawn(F.col("id"), 6, 30_000) / 1000,
        "log_id": F.abs(F.xxhash64(log)),
        "log_offset": log,
        "log_index": F.lit(0),
        "source": F.lit("kafka:0123456789abcdef"),
        "device_type": F.concat(F.lit("device-"), F.pmod(profile, F.lit(5))),
        "app_version": F.concat(F.lit("8."), F.pmod(profile, F.lit(3))),
        "duplicate": F.lit(None),
    }
    return known.select(
        *(values[name].cast(kind).alias(name) for name, kind in RAW_COLUMNS.items())
    )


def profiles_by_shard(of_each: int) -> np.ndarray:
    """(SHARDS, n) profile ids, each in its own shard."""
    wanted = max(2, of_each)
    candidates = np.arange(1, 8 * SHARDS * wanted + 64, dtype=np.int64)
    shard = shards_of(candidates, SHARDS)
    return np.stack([candidates[shard == s][:wanted] for s in range(SHARDS)])
