"""Records that were read become part of both tables: first the rejected rows, then the others.

Each table gets one commit on exactly the snapshot it was checked against, or none
(lake/guarded_commit.py). When another commit came first and this lander's partitions stand where
they stood, the files that are written are committed on top of it, in milliseconds: so several
landers share a topic. Killed between the two commits, the rejected rows are in and their table says
how far: the next run leaves them out and lands the rest. Offsets of raw vouch for the rejected rows
before them, so a table of rejected rows whose own offsets lag lacks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from batch.lake import snapshots, tables
from batch.lake.conflict import Conflict, retried
from batch.lake.cursor import LOST, Cursor, Landed
from batch.lake.guarded_commit import commit, discard
from batch.landing import plan
from batch.landing.job import Before, Landing, begin_at, claimed
from batch.landing.part import Part
from batch.landing.tally import Tally, of_parts
from impressions.core.slot import format_utc
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table


def append_rejected(job: Landing, before: Before, parts: Sequence[Part]) -> Tally:
    """Rejected rows that the table does not hold yet, with how far it is then.

    Raises:
        Conflict: another lander landed the same partition.
    """
    if not any(p.rejected_files for p in parts):
        return Tally()
    files = [file for p in parts for file in p.rejected_files]

    def attempt() -> int:
        table = job.table(tables.REJECTED)
        at = rejected_cursors(before, snapshots.state(table).landed)
        for p in parts:
            _same_offset(at[p.range.partition], p.rejected_from, p.range.partition, table)
            at[p.range.partition] = Cursor(p.range.end, p.carried.newest_ms)
        landed = replace(before.landed, cursors=tuple(at))
        said = snapshots.properties(snapshots.LAND, job.run.id)
        return commit(table, files, said | landed.properties(), reached_ms=before.seen.broker_ms)

    with _conflict_if_overtaken(before, files_of(parts)):
        return Tally(snapshots={tables.REJECTED: retried(attempt)})


def append_raw(job: Landing, before: Before, parts: Sequence[Part]) -> tuple[Before, Tally]:
    """The valid rows with their offsets; how that left the table, and what it did.

    Raises:
        Conflict: another lander landed the same partition.
    """
    read = [(p.range, p.carried, p.last) for p in parts]
    files = [file for p in parts for file in p.raw]
    start: Before | None = before

    def attempt() -> tuple[Before, Tally]:
        nonlocal start
        if start is None:
            start = begin_at(job, job.table(tables.RAW), before.seen)
            for r, _, _ in read:
                _same_offset(start.landed.cursors[r.partition], r.start, r.partition, start.raw)
        now, start = start, None
        now = replace(now, lost=(*now.lost, *(loss for p in parts for loss in p.passed)))
        landed = plan.advance(now.landed, read, before.seen.first_ms)
        landed = claimed(job, landed, before.seen)
        return replace(now, landed=landed), commit_raw(job, now, landed, files)

    with _conflict_if_overtaken(before, files):
        after, done = retried(attempt)
    _note_doubted(job, parts)
    failpoint("after-commit")
    after = replace(after, base=snapshots.state(job.table(tables.RAW)))
    return after, done + of_parts(parts)


def commit_raw(job: Landing, at: Before, landed: Landed, files: Sequence[DataFile]) -> Tally:
    """Rows of raw, offsets and valid-through: one snapshot on top of `at`, or a conflict."""
    said = snapshots.properties(snapshots.LAND, job.run.id, landed.through_ms)
    if at.lost:
        said[LOST] = "; ".join(map(str, at.lost))
    properties = said | landed.properties()
    snapshot_id = commit(at.raw, files, properties, reached_ms=at.seen.broker_ms)
    if at.lost:
        job.run.note(f"given up as lost: {said[LOST]}")
    if landed.through_ms < (at.base.valid_through_ms or 0) and at.base.landed is not None:
        job.run.note(
            f"valid through {format_utc(landed.through_ms)} again: "
            f"{format_utc(at.base.valid_through_ms or 0)} was claimed by a clock that was ahead"
        )
    return Tally(
        changed=True,
        commits=1,
        lost=sum(loss.end - loss.start for loss in at.lost),
        snapshots={tables.RAW: snapshot_id},
    )


def rejected_cursors(before: Before, said: Landed | None) -> list[Cursor]:
    """How far the table of rejected rows is, by partition."""
    at = list(before.landed.cursors)
    if said is not None and said.topic_id == before.seen.topic_id:
        pairs = zip(at, said.cursors, strict=True)
        at = [max(pair, key=lambda cursor: cursor.next_offset) for pair in pairs]
    return at


def files_of(parts: Iterable[Part]) -> list[DataFile]:
    """Data files of both tables."""
    return [file for p in parts for file in p.files]


class _Overtaken(Exception):
    """Another lander landed the same partition: what was read of it is not to be landed again."""


@contextmanager
def _conflict_if_overtaken(before: Before, files: Sequence[DataFile]) -> Iterator[None]:
    """Another lander that was faster is a conflict; what was written for it is deleted."""
    try:
        yield
    except _Overtaken as error:
        discard(before.raw, files)
        raise Conflict(str(error)) from error


def _same_offset(cursor: Cursor, expected: int, partition: int, table: Table) -> None:
    if cursor.next_offset != expected:
        raise _Overtaken(
            f"{'.'.join(table.name())}: partition {partition} was landed from {expected} up to "
            f"{cursor.next_offset} by another lander"
        )


def _note_doubted(job: Landing, parts: Sequence[Part]) -> None:
    for p in parts:
        if p.doubted:
            job.run.note(
                f"partition {p.range.partition}: {p.doubted:,} records are stamped far ahead of "
                "those before them and of their devices: they count with the devices' time"
            )
