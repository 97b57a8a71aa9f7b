"""Step 5 of an import: its valid rows become part of raw, in one commit.

The slots that the files touch are written anew: rows that stand there and new ones together, copies
numbered, duplicates decided, in closed form. So are closed slots right after one, whose flags
depend on it. For a history import that is the plain case: nothing stands there yet.

The commit is refused when somebody added to one of those slots since the snapshot it builds on, and
then made again. What Iceberg cannot see is a commit to the slot *before* one of ours in the same
moment; `_settle` sees that another commit came between and decides the flags of our slots again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import closing, partitions, snapshots, tables
from batch.copies import log_identity, number_copies
from batch.import_job import Import
from batch.shard import shard_column
from batch.stages import stages
from batch.survey import Survey
from batch.validity import counted_ms
from impressions.errors import ImpressionsError
from impressions.event import Reason

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Merge:
    """Rows to write (columns of raw, and `_new`) to `slots`, and how many of them stood there."""

    rows: DataFrame
    slots: frozenset[int]
    standing_rows: int


def write_raw(job: Import, rows: DataFrame, found: Survey, valid_through_ms: int | None) -> None:
    """One attempt at the commit, on top of the newest snapshot; fills counts and snapshots.

    Args:
        valid_through_ms: what the commit says; None leaves it to the commits before.

    Raises:
        an Iceberg conflict (batch/snapshots.py) when somebody else wrote the same slots.
    """
    from pyspark.sql import Observation

    base = snapshots.state(job.spark, job.table(tables.RAW))
    merge = merged(job, rows, found, base)
    properties = {
        snapshots.OPERATION: snapshots.LAND,
        snapshots.RUN_ID: job.report.run_id,
        "impressions.read": str(found.read),
        "impressions.valid": str(found.valid),
        "impressions.rejected": str(found.read - found.valid),
    }
    if valid_through_ms is not None and base.landed is None:
        reached_ms = max(valid_through_ms, base.valid_through_ms or 0)
        properties[snapshots.VALID_THROUGH] = str(reached_ms)
    outcome = Observation("outcome")
    with stages(job.spark, "write raw"):
        snapshots.overwrite_partitions(
            closing.dealt_out(merge.rows)
            .observe(outcome, *outcome_columns())
            .select(*tables.RAW_COLUMNS),
            job.table(tables.RAW),
            base.snapshot_id,
            properties,
        )
    job.report.counts.update(outcome.get)
    _settle(job, merge, found, base)


def merged(job: Import, rows: DataFrame, found: Survey, base: snapshots.State) -> Merge:
    """New rows with those that share their slots, and those whose flags depend on them."""
    from pyspark.sql import functions as F

    states = closing.slot_states(job.spark, job.settings, base.snapshot_id)
    slots = found.slots | closing.followers(found.slots, states, job.spec)
    raw = _raw_at(job, base)
    new = _as_raw(job, rows)
    standing = slots & states.keys()
    existing = raw.where(closing.in_slots(standing, job.spec)) if standing else None
    if job.identified:
        new = number_copies(new, existing, by_content=not job.mapping.ingest_is_event)
    everything = new.drop("original_ms").withColumn("_new", F.lit(True))
    if existing is not None:
        everything = everything.unionByName(existing.withColumn("_new", F.lit(False)))
    return Merge(
        closing.decided(everything, raw, slots, job.spec),
        slots,
        sum(states[slot].rows for slot in standing),
    )


def outcome_columns() -> tuple[Column, Column]:
    """The aggregates `applied` and `duplicate` over `Merge.rows`."""
    from pyspark.sql import functions as F

    new, duplicate = F.col("_new"), F.col("duplicate")
    return (
        F.count_if(new & ~duplicate).alias("applied"),
        F.count_if(new & duplicate).alias("duplicate"),
    )


def _as_raw(job: Import, rows: DataFrame) -> DataFrame:
    """Valid rows as columns of raw, `duplicate` open, with `original_ms` as the device said."""
    from pyspark.sql import functions as F

    ingest_ms = F.col("ingest_ms")
    made = {
        "ingest_slot": F.timestamp_millis(partitions.history_start_ms(ingest_ms)),
        "shard": shard_column(F.col("profile_id"), job.settings.partitions),
        "event_time": F.timestamp_millis(counted_ms(job.spec)),
        "ingest_time": F.timestamp_millis(ingest_ms),
        "log_id": log_identity(job.mapping.ingest_is_event, job.identified),
        "log_offset": ingest_ms,
        "log_index": F.lit(0),
        "duplicate": F.lit(None),
    }
    return rows.where(F.col("reason") == int(Reason.OK)).select(
        *(
            made.get(name, F.col(name)).cast(type_).alias(name)
            for name, type_ in tables.RAW_COLUMNS.items()
        ),
        F.col("event_ms").alias("original_ms"),
    )


def _raw_at(job: Import, base: snapshots.State) -> DataFrame:
    """Raw at `base`; without rows where a dry run finds no table."""
    if base.snapshot_id is None:
        schema = ", ".join(f"`{name}` {type_}" for name, type_ in tables.RAW_COLUMNS.items())
        return job.spark.createDataFrame([], schema)
    return snapshots.read_at(job.spark, job.table(tables.RAW), base.snapshot_id)


def _settle(job: Import, merge: Merge, found: Survey, base: snapshots.State) -> None:
    """Looks at the commit as it landed: all rows in it, and nobody's commit before it unseen."""
    name = job.table(tables.RAW)
    commits = snapshots.snapshots(job.spark, name)
    ours = next(c for c in commits.values() if c.summary.get(snapshots.RUN_ID) == job.report.run_id)
    job.report.snapshots[tables.RAW] = ours.id
    expected, added = found.valid + merge.standing_rows, int(ours.summary["added-records"])
    if added != expected:
        raise ImpressionsError(
            f"snapshot {ours.id} of {name} added {added:,} rows, expected {expected:,}: "
            f"{found.valid:,} new and {merge.standing_rows:,} that stood in the same slots",
            hint="a file changed while it was read; roll the table back to "
            f"{base.snapshot_id or 'empty'} and import it again",
            reason="unbalanced",
        )
    if ours.parent_id != base.snapshot_id:
        closing.retried(lambda: closing.close_again(job.spark, job.settings, merge.slots))
