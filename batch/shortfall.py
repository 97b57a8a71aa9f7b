"""Rows that raw should hold, by its offsets, and does not: found, and landed again from the log.

Our own commits keep every row (`land` adds, `close` rewrites), so there is something to look for
only where others committed since the last landing, or where a commit of ours lost rows. Then the
slots whose files changed are counted, in the snapshot of that landing and now:

    fewer rows    somebody deleted them: whatever of it the log still holds is landed again
    more rows     somebody added rows under our name: refused, nobody can tell which count

A table that was rolled back needs none of this: its offsets went back with it. Rows are compared by
what they are, not by their number, so that exactly the missing ones come back. Slots that no window
reaches any more may be deleted; nothing is brought back to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from batch import closing, snapshots, tables
from batch.landed import Cursor, Landed
from batch.snapshots import State
from impressions import window
from impressions.errors import Refused
from impressions.shell.settings import Settings
from impressions.slot import format_utc, next_slot_ms

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_IDENTITY = (
    "shard", "log_offset", "log_index", "profile_id", "title_id", "location", "row", "position",
    "event_time", "played", "dwell_s", "log_id",
)  # fmt: skip

Place = tuple[int, int]
"""(slot start in ms, shard)."""


def suspicious(state: State) -> bool:
    """Whether a commit since the last landing may have taken or added rows of it."""
    return any(
        snapshots.OPERATION not in commit.summary
        or int(commit.summary.get("deleted-records", 0))
        > int(commit.summary.get("added-records", 0))
        for commit in state.since
    )


def find(spark: SparkSession, settings: Settings, state: State) -> dict[Place, int]:
    """Rows of the topic that are missing, by slot and shard. Reads metadata, then changed slots.

    Raises:
        Refused: there are more rows than were landed.
    """
    if state.landed is None or not suspicious(state):
        return {}
    name, source = tables.full_name(settings, tables.RAW), state.landed.source
    reached_ms = next_slot_ms(state.valid_through_ms or 0, settings.spec)
    first_ms = window.first_slot_ms(reached_ms, settings.spec)
    changed = {slot for slot in _changed(spark, name, state) if slot >= first_ms}
    then = _counts(spark, settings, state.landed_id, source, changed)
    now = _counts(spark, settings, state.snapshot_id, source, changed)
    for (slot, shard), count in now.items():
        if count > then.get((slot, shard), 0):
            raise Refused(
                f"{name}, slot {format_utc(slot)}, shard {shard}: {count:,} rows of topic "
                f"{state.landed.topic}, expected the {then.get((slot, shard), 0):,} that were "
                "landed: somebody added rows that count twice",
                hint=f"roll the table back to snapshot {state.landed_id} and land again",
                reason="rows_added",
            )
    return {at: n - now.get(at, 0) for at, n in then.items() if n > now.get(at, 0)}


def absent(landed: DataFrame, raw: DataFrame, source: str, shards: Iterable[int]) -> DataFrame:
    """Those of the rows `landed` that `raw` does not hold; equal rows of a log are numbered."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    def numbered(rows: DataFrame) -> DataFrame:
        equal = Window.partitionBy(*_IDENTITY).orderBy("ingest_time")
        return rows.withColumn("_copy", F.row_number().over(equal))

    there = raw.where((F.col("source") == source) & F.col("shard").isin(list(shards)))
    new = numbered(landed).alias("new")
    held = numbered(there).select(*_IDENTITY, "_copy").alias("held")
    same = F.lit(True)
    for column in (*_IDENTITY, "_copy"):
        same = same & F.col(f"new.{column}").eqNullSafe(F.col(f"held.{column}"))
    return new.join(held, same, "left_anti").drop("_copy")


def recovered(spark: SparkSession, settings: Settings, start: Landed) -> Landed | None:
    """The cursors of a table whose landings were forgotten, from its rows; None without any.

    Expiring snapshots may forget what was said of the topic, behind a commit of somebody else.
    """
    from pyspark.sql import functions as F

    raw = spark.table(tables.full_name(settings, tables.RAW))
    found = (
        raw.where(F.col("source") == start.source)
        .groupBy("shard")
        .agg(
            F.max("log_offset").alias("newest"),
            F.unix_millis(F.max("ingest_time")).alias("ingest_ms"),
            F.unix_millis(F.min("ingest_time")).alias("first_ms"),
        )
        .collect()
    )
    if not found:
        return None
    cursors = list(start.cursors)
    for row in found:
        cursors[row["shard"]] = Cursor(row["newest"] + 1, row["ingest_ms"])
    return replace(start, cursors=tuple(cursors), first_ms=min(row["first_ms"] for row in found))


def _changed(spark: SparkSession, name: str, state: State) -> set[int]:
    """Slots in which files came or went between the last landing and now."""

    def files(version: int | None) -> set[tuple[str, int]]:
        rows = spark.sql(
            "SELECT file_path, unix_millis(partition.ingest_slot) AS slot "
            f"FROM {name}.files VERSION AS OF {version}"
        ).collect()
        return {(row["file_path"], row["slot"]) for row in rows}

    return {slot for _, slot in files(state.landed_id) ^ files(state.snapshot_id)}


def _counts(
    spark: SparkSession, settings: Settings, version: int | None, source: str, slots: set[int]
) -> dict[Place, int]:
    from pyspark.sql import functions as F

    if not slots:
        return {}
    name = tables.full_name(settings, tables.RAW)
    rows = (
        snapshots.read_at(spark, name, version)
        .where(closing.in_slots(slots, settings.spec) & (F.col("source") == source))
        .groupBy(F.unix_millis("ingest_slot").alias("slot"), "shard")
        .count()
        .collect()
    )
    return {(row["slot"], row["shard"]): row["count"] for row in rows}
