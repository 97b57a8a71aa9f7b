"""What a table's commits say about it: the properties of its snapshots.

Every commit of ours on raw carries

    impressions.operation          land | close | forget | housekeeping
    impressions.valid-through-ms   every record with an ingest time before this is in the table
    impressions.kafka.*            land from Kafka: how far the topic is landed (landing/cursor.py)

so the offsets, counts and times of a commit are part of that commit. A commit of somebody else (a
DELETE, a compaction) carries nothing: then the newest ancestor that does speaks for the table. What
`close` and `housekeeping` say of valid-through is a copy, for when the landing it was copied from
has expired; a landing may have come between, so a landing is asked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake import cursor
from batch.lake.cursor import Landed

if TYPE_CHECKING:
    from pyiceberg.table import Table

OPERATION = "impressions.operation"
VALID_THROUGH = "impressions.valid-through-ms"
RUN_ID = "impressions.run-id"

LAND, CLOSE, FORGET, HOUSEKEEPING = "land", "close", "forget", "housekeeping"
_COPYING = (CLOSE, HOUSEKEEPING)
MAIN = "main"


@dataclass(frozen=True)
class Snapshot:
    """One commit. `summary` holds Iceberg's own counts and our properties, all as text."""

    id: int
    parent_id: int | None
    operation: str
    summary: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """What a job needs to know of a table before it starts.

    Attributes:
        snapshot_id: of main; None for a table without a commit.
        valid_through_ms: None where no commit of ours said one yet.
        landed: how far a topic is in it; None where none was landed, or what said so has expired.
        landed_id: the snapshot that says so.
        since: the commits on top of that one, newest first.
    """

    snapshot_id: int | None = None
    valid_through_ms: int | None = None
    landed: Landed | None = None
    landed_id: int | None = None
    since: tuple[Snapshot, ...] = ()


def properties(operation: str, run_id: str, through_ms: int | None = None) -> dict[str, str]:
    """What every commit of ours says, and how far the table is complete where it speaks of it."""
    said = {OPERATION: operation, RUN_ID: run_id}
    return said if through_ms is None else said | {VALID_THROUGH: str(through_ms)}


def by_id(table: Table) -> dict[int, Snapshot]:
    """All commits the table still remembers, by id."""
    known = {}
    for s in table.metadata.snapshots:
        said = s.summary.additional_properties if s.summary else {}
        operation = s.summary.operation.value if s.summary else ""
        known[s.snapshot_id] = Snapshot(s.snapshot_id, s.parent_snapshot_id, operation, dict(said))
    return known


def refs(table: Table) -> dict[str, int]:
    """Name -> snapshot id of every branch and tag."""
    return {name: ref.snapshot_id for name, ref in table.metadata.refs.items()}


def main_id(table: Table) -> int | None:
    """The snapshot that main points to; None for a table without a commit."""
    return refs(table).get(MAIN)


def ancestry(known: Mapping[int, Snapshot], start_id: int | None) -> Iterator[Snapshot]:
    """The snapshot `start_id` and its ancestors, newest first, as far as they are remembered."""
    at = start_id
    while at is not None and at in known:
        yield known[at]
        at = known[at].parent_id


def state(table: Table) -> State:
    """Main's snapshot as the table was loaded, and what it and its ancestors say."""
    return state_of(by_id(table), main_id(table))


def state_of(known: Mapping[int, Snapshot], at: int | None) -> State:
    """The same of snapshots that are read already."""
    line = list(ancestry(known, at))
    saying = [commit for commit in line if VALID_THROUGH in commit.summary]
    by_land = [commit for commit in saying if commit.summary.get(OPERATION) not in _COPYING]
    said = next(iter(by_land or saying), None)
    text = None if said is None else said.summary[VALID_THROUGH]
    through_ms = int(text) if text else None
    for depth, commit in enumerate(line):
        if landed := cursor.from_properties(commit.summary):
            return State(at, through_ms, landed, commit.id, tuple(line[:depth]))
    return State(at, through_ms)
