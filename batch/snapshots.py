"""What a table's commits say about it: reading and writing the properties of snapshots.

Every commit of ours on raw carries

    impressions.operation          land | close
    impressions.valid-through-ms   every record with an ingest time before this is in the table
    impressions.kafka.*            land from Kafka: how far the topic is landed (batch/landed.py)

so the offsets, counts and times of a commit are part of that commit. A commit of somebody else (a
DELETE, a compaction) carries nothing: then the newest ancestor that does speaks for the table. What
`close` says of valid-through is a copy, for when the landing it copied from has expired; a landing
may have come between, so a landing is asked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import landed
from batch.landed import Landed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriterV2, SparkSession

OPERATION = "impressions.operation"
VALID_THROUGH = "impressions.valid-through-ms"
RUN_ID = "impressions.run-id"

LAND, CLOSE = "land", "close"


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


def ancestry(commits: Mapping[int, Snapshot], start_id: int | None) -> Iterator[Snapshot]:
    """The snapshot `start_id` and its ancestors, newest first, as far as they are remembered."""
    at = start_id
    while at is not None and at in commits:
        yield commits[at]
        at = commits[at].parent_id


@dataclass(frozen=True)
class State:
    """What a job needs to know of a table before it starts.

    Attributes:
        snapshot_id: of main; None for a table without a commit.
        valid_through_ms: None where no commit of ours said one yet.
        landed: how far a topic is in it; None where none was landed, or that was forgotten.
        landed_id: the snapshot that says so.
        since: the commits on top of that one, newest first.
    """

    snapshot_id: int | None
    valid_through_ms: int | None
    landed: Landed | None = None
    landed_id: int | None = None
    since: tuple[Snapshot, ...] = ()


def state(spark: SparkSession, table: str) -> State:
    """Main's snapshot and what it and its ancestors say."""
    at = ref_snapshot_id(spark, table)
    return state_of(snapshots(spark, table), at)


def state_of(commits: Mapping[int, Snapshot], at: int | None) -> State:
    """The same of commits that are read already."""
    line = list(ancestry(commits, at))
    telling = [commit for commit in line if VALID_THROUGH in commit.summary]
    by_land = [commit for commit in telling if commit.summary.get(OPERATION) != CLOSE]
    said = next(iter(by_land or telling), None)
    through_ms = None if said is None else int(said.summary[VALID_THROUGH])
    for depth, commit in enumerate(line):
        if known := landed.from_properties(commit.summary):
            return State(at, through_ms, known, commit.id, tuple(line[:depth]))
    return State(at, through_ms)


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


class MainMoved(Exception):
    """Another commit came first: what was computed from the one before it is not published."""


def is_conflict(error: BaseException) -> bool:
    """Whether a write failed because another commit came first: compute again and retry."""
    text = str(error)
    return isinstance(error, MainMoved) or any(
        name in text
        for name in ("exceptions.ValidationException", "exceptions.CommitFailedException")
    )
