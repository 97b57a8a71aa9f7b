"""The closed form of a slot, and which slots need it. Used by `close`, and by the import.

A slot is closed when each file of it has decided duplicates: no null in that column, which the
files' own metadata says, so nothing is scanned to find out. Its form: one file per (slot, shard),
sorted by (profile, title, event time) - what makes the weekly job a plain scan.

    due          over (valid-through >= its end) and not closed
    follower     closed, but the slot before it is rewritten now: its flags depend on that one

A rewrite is one commit over exactly the partitions it read, refused when somebody added to them
meanwhile, and then computed again from the newer state. Rows that arrive later have a null and make
their slot due again: nothing is lost, and running twice changes nothing.

What a rewrite costs is reading, one sort and writing. Few logs are ever sent twice, so flags are
decided over occurrences of logs alone, and the repeated ones are looked up (batch/duplicates.py);
and the scan is grouped by (slot, shard) already, so no row moves between tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, TypeVar

from batch import partitions, snapshots, tables
from batch.aggregate import exchanges
from batch.duplicates import (
    KEY,
    flag_duplicates,
    flag_repeated,
    occurrences,
    with_slot_number,
)
from impressions.errors import NotReady
from impressions.shell.settings import Settings
from impressions.slot import format_utc
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_ATTEMPTS = 5
_LOOKED_UP = 1_000_000  # repeated occurrences that every task may hold in memory
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class SlotState:
    """Rows of one slot, and how many of them are not decided yet."""

    rows: int
    undecided: int

    @property
    def closed(self) -> bool:
        return self.undecided == 0


def slot_states(
    spark: SparkSession, settings: Settings, snapshot_id: int | None
) -> dict[int, SlotState]:
    """Slot start in ms -> its state, from the metadata of the files of one snapshot."""
    if snapshot_id is None:
        return {}
    name = tables.full_name(settings, tables.RAW)
    rows = spark.sql(
        "SELECT unix_millis(partition.ingest_slot) AS slot, sum(record_count) AS rows, "
        "sum(coalesce(readable_metrics.duplicate.null_value_count, record_count)) AS undecided "
        f"FROM {name}.files VERSION AS OF {snapshot_id} WHERE content = 0 "
        "GROUP BY partition.ingest_slot"
    ).collect()
    return {row["slot"]: SlotState(row["rows"], row["undecided"]) for row in rows}


def due_slots(
    states: Mapping[int, SlotState], before_ms: int, spec: Spec, again: bool = False
) -> set[int]:
    """Slots that end at or before `before_ms` and are not closed (`again`: closed ones too)."""
    return {
        slot
        for slot, state in states.items()
        if slot + spec.slot_ms <= before_ms and (again or not state.closed)
    }


def followers(slots: Collection[int], states: Mapping[int, SlotState], spec: Spec) -> set[int]:
    """Closed slots right after one of `slots`; open ones are decided when they are closed."""
    rewritten = set(slots)
    return {
        slot
        for slot, state in states.items()
        if state.closed and slot not in rewritten and partitions.before({slot}, spec) & rewritten
    }


def runs(slots: Iterable[int], slot_ms: int) -> list[tuple[int, int]]:
    """Slots as half-open ranges [start, end) of time, neighbours together."""
    ranges: list[tuple[int, int]] = []
    for slot in sorted(set(slots)):
        if ranges and ranges[-1][1] == slot:
            ranges[-1] = (ranges[-1][0], slot + slot_ms)
        else:
            ranges.append((slot, slot + slot_ms))
    return ranges


def in_slots(slots: Iterable[int], spec: Spec) -> Column:
    """The filter on `ingest_slot` that Iceberg turns into a choice of files."""
    from pyspark.sql import functions as F

    column = F.col("ingest_slot")
    found = [
        (column >= F.timestamp_millis(F.lit(start))) & (column < F.timestamp_millis(F.lit(end)))
        for start, end in runs(slots, spec.slot_ms)
    ]
    # A balanced tree: Spark walks expressions by recursion, and a year of days is a deep list.
    while len(found) > 1:
        found = [reduce(or_, found[i : i + 2]) for i in range(0, len(found), 2)]
    return found[0] if found else F.lit(False)


def decided(rows: DataFrame, raw: DataFrame, slots: Collection[int], spec: Spec) -> DataFrame:
    """`rows`, which are all rows (or occurrences) of `slots`, with duplicates decided.

    `raw` gives the logs of the slots just before. Other columns of `rows` are kept.
    """
    from pyspark.sql import functions as F

    before = partitions.before(slots, spec)
    earlier = raw.where(in_slots(before, spec) & F.col("log_id").isNotNull())
    marked = with_slot_number(rows, spec).withColumn("_wanted", F.lit(True))
    known = with_slot_number(earlier, spec).select(*KEY).distinct()
    together = marked.unionByName(known, allowMissingColumns=True)
    return flag_duplicates(together).where("_wanted").drop("_wanted", "slot_number")


def dealt_out(rows: DataFrame) -> DataFrame:
    """Each (slot, shard) whole in one task, so that it becomes one file; the table sorts it."""
    tasks = int(str(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    return rows.repartition(tasks, "ingest_slot", "shard")


def grouped(rows: DataFrame) -> DataFrame:
    """Rows of raw, each (slot, shard) whole in one task; `dealt_out` where the scan is not so."""
    if exchanges(rows.groupBy("ingest_slot", "shard").count()):
        return dealt_out(rows)
    return rows


def rewrite(
    spark: SparkSession,
    settings: Settings,
    base: snapshots.State,
    slots: Collection[int],
    properties: Mapping[str, str],
) -> None:
    """Brings `slots` into closed form in one commit on top of `base`."""
    name, spec = tables.full_name(settings, tables.RAW), settings.spec
    raw = snapshots.read_at(spark, name, base.snapshot_id)
    carried = {} if base.valid_through_ms is None else {
        snapshots.VALID_THROUGH: str(base.valid_through_ms)
    }  # fmt: skip
    rows = raw.where(in_slots(slots, spec))
    repeated = decided(occurrences(rows), raw, slots, spec).where("duplicate").persist()
    try:
        if repeated.count() <= _LOOKED_UP:
            flagged = flag_repeated(grouped(rows), repeated)
        else:
            flagged = dealt_out(decided(rows, raw, slots, spec))
        snapshots.overwrite_partitions(
            flagged.select(*tables.RAW_COLUMNS),
            name,
            base.snapshot_id,
            carried | {snapshots.OPERATION: snapshots.CLOSE} | dict(properties),
        )
    finally:
        repeated.unpersist()


def close_again(spark: SparkSession, settings: Settings, slots: Collection[int]) -> None:
    """Decides the flags of `slots` and of closed ones right after, from the newest snapshot."""
    base = snapshots.state(spark, tables.full_name(settings, tables.RAW))
    states = slot_states(spark, settings, base.snapshot_id)
    present = {slot for slot in slots if slot in states}
    rewrite(spark, settings, base, present | followers(present, states, settings.spec), {})


def retried(attempt: Callable[[], _Result]) -> _Result:
    """Runs `attempt` again, from the newest state, when another commit came first."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return attempt()
        except Exception as error:
            if not snapshots.is_conflict(error):
                raise
            if not left:
                raise NotReady(
                    f"{_ATTEMPTS} attempts met commits of others to the same slots",
                    hint="run it again when the other writer is done",
                    reason="conflict",
                ) from error
    raise AssertionError("unreachable: the last attempt returns or raises")


def slot_names(slots: Iterable[int], slot_ms: int) -> list[str]:
    """Ranges of slots for people: `2026-11-01T00:00:00Z .. 2026-11-15T00:00:00Z`, end excluded."""
    return [f"{format_utc(start)} .. {format_utc(end)}" for start, end in runs(slots, slot_ms)]
