"""What a table's commits say about it: reading and writing the properties of snapshots.

Every commit of ours on raw carries

    impressions.operation          land | close
    impressions.valid-through-ms   every record with an ingest time before this is in the table

so the offsets, counts and times of a commit are part of that commit. A commit of somebody else (a
DELETE, a compaction) carries nothing: then the newest ancestor that does speaks for the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriterV2, SparkSession

OPERATION = "impressions.operation"
VALID_THROUGH = "impressions.valid-through-ms"
RUN_ID = "impressions.run-id"


@dataclass(frozen=True)
class Snapshot:
    """One commit. `summary` holds Iceberg's own counts and our properties, all as text."""

    id: int
    parent_id: int | None
    committed_ms: int
    operation: str
    summary: Mapping[str, str]


def snapshots(spark: SparkSession, table: str) -> dict[int, Snapshot]:
    """All commits the table still remembers, by id."""
    rows = spark.sql(
        "SELECT snapshot_id, parent_id, unix_millis(committed_at) AS committed_ms, operation, "
        f"summary FROM {table}.snapshots"
    ).collect()
    return {
        row["snapshot_id"]: Snapshot(
            row["snapshot_id"],
            row["parent_id"],
            row["committed_ms"],
            row["operation"],
            dict(row["summary"] or {}),
        )
        for row in rows
    }


def ref_snapshot_id(spark: SparkSession, table: str, ref: str = "main") -> int | None:
    """The snapshot a branch or tag points to; None where there is no such ref."""
    rows = spark.sql(f"SELECT name, snapshot_id FROM {table}.refs").collect()
    return next((row["snapshot_id"] for row in rows if row["name"] == ref), None)


def newest_property(commits: Mapping[int, Snapshot], start_id: int | None, key: str) -> str | None:
    """The property in the snapshot `start_id` or its nearest ancestor that carries it."""
    at = start_id
    while at is not None and at in commits:
        if key in commits[at].summary:
            return commits[at].summary[key]
        at = commits[at].parent_id
    return None


@dataclass(frozen=True)
class State:
    """What a job needs to know of raw before it starts.

    Attributes:
        snapshot_id: of main; None for a table without a commit.
        valid_through_ms: None where no commit of ours said one yet.
    """

    snapshot_id: int | None
    valid_through_ms: int | None


def state(spark: SparkSession, table: str) -> State:
    """Main's snapshot and how far the table is complete."""
    at = ref_snapshot_id(spark, table)
    found = newest_property(snapshots(spark, table), at, VALID_THROUGH)
    return State(at, None if found is None else int(found))


def read_at(spark: SparkSession, table: str, snapshot_id: int | None) -> DataFrame:
    """The table as one commit left it, so that everything a job reads is of one moment."""
    if snapshot_id is None:
        return spark.table(table)
    return spark.read.option("versionAsOf", str(snapshot_id)).table(table)


def writer(rows: DataFrame, table: str, properties: Mapping[str, str]) -> DataFrameWriterV2:
    """A writer whose commit carries the properties."""
    into = rows.writeTo(table)
    for key, value in properties.items():
        into = into.option(f"snapshot-property.{key}", value)
    return into


def overwrite_partitions(
    rows: DataFrame, table: str, base_id: int | None, properties: Mapping[str, str]
) -> None:
    """Replaces exactly the partitions that `rows` touches, in one commit.

    Refused by Iceberg (see `is_conflict`) when somebody added a file to one of them since the
    snapshot `base_id` that `rows` were computed from: no row that arrived meanwhile is lost.
    """
    into = writer(rows, table, properties).option("isolation-level", "serializable")
    if base_id is not None:
        into = into.option("validate-from-snapshot-id", str(base_id))
    into.overwritePartitions()


def is_conflict(error: BaseException) -> bool:
    """Whether a write failed because another commit came first: compute again and retry."""
    text = str(error)
    return any(
        name in text
        for name in ("exceptions.ValidationException", "exceptions.CommitFailedException")
    )
