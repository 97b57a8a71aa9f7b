"""One round of landing the source topic into raw, exactly once.

A commit:

    1  what main says: offsets, valid-through                          lake/commits.py
    2  what the broker says: first, end; the topic is the same one     topic.py
    3  rows that others deleted are landed again                       repair.py
    4  read [next, end) of each partition, written as data files       part.py
    5  rejected rows -> impressions.rejected, with its own offsets
    6  rows and offsets and valid-through -> impressions.raw, in one commit

5 and 6 each land on exactly the snapshot they were checked against, or not at all
(lake/committing.py). When another commit came first and this lander's partitions stand where they
stood, the files that are written are committed on top of it, in milliseconds; several landers share
a topic so. Killed between 5 and 6, the rejected rows are in and their table says how far: the next
run leaves them out and lands the rest. Offsets of raw vouch for the rejected rows before them, so a
table of rejected rows whose own offsets are behind lacks nothing.

A round goes on until it has reached the ends that its first look saw. A round that finds nothing
says how far raw is complete all the same, but commits only where that ends a slot, reaches --until,
is ten minutes more, or takes back what a clock that was ahead had claimed: an idle topic shall not
fill the table's history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from batch.lake import snapshots, tables
from batch.lake.conflict import Conflict, retried
from batch.lake.cursor import LOST, Cursor, Landed
from batch.lake.guarded_commit import commit, discard
from batch.lake.writing import target_of
from batch.landing import part, plan, repair, shortfall, topic
from batch.landing.fetch import client_of
from batch.landing.job import Before, Landing, begin, begin_at, claimed
from batch.landing.part import Part, Task
from batch.landing.plan import Range
from impressions.core.errors import ImpressionsError
from impressions.core.slot import format_utc, slot_start_ms
from impressions.kafka import topics
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_IDLE_MS = 600_000
_COUNTS = ("records", "read", "landed", "rejected", "repaired", "lost", "commits")


def land(job: Landing) -> int:
    """One round; fills the report and returns the valid-through.

    Raises:
        Refused: another topic, records or rows that are gone, files that overlap.
        NotReady, ServiceError: no topic, no broker, others that always commit first.
    """
    topics.check(job.settings)
    tables.create_if_missing(job.settings, tables.RAW, tables.REJECTED)
    job.report.counts.update(dict.fromkeys(_COUNTS, 0))
    goal: tuple[int, ...] | None = None
    while True:
        after = retried(lambda: _step(job))
        goal = goal or after.log.stop
        there = plan.reached(after.landed, goal)
        if all(there[p] for p in job.partitions):
            break
    _balance(job)
    return _report(job, after.base.valid_through_ms or 0, after.landed, after.log)


def look(job: Landing) -> int:
    """A dry run: what a round would read; returns the valid-through as it is."""
    topics.check(job.settings)
    log = topic.ask(job.settings, job.clock, job.until_ms)
    raw = tables.fitting(job.settings, tables.RAW)
    base = snapshots.State() if raw is None else snapshots.state(raw)
    landed = plan.begin(base.landed, log, job.settings.stream.epoch)
    lost = plan.losses(landed, log)
    left = plan.ranges(plan.skip(landed, lost, log), log, sum(log.end) + 1, job.partitions)
    job.report.counts.update(
        records=sum(r.end - r.start for r in left), lost=sum(x.end - x.start for x in lost)
    )
    return _report(job, base.valid_through_ms or 0, landed, log)


def _step(job: Landing) -> Before:
    """One commit, if there is something to say. Returns how it left the table."""
    before = repair.repaired(job, begin(job))
    most = job.settings.land.max_records
    ranges = plan.ranges(before.landed, before.log, most, job.partitions)
    if not ranges:
        return _idle(job, before)
    parts = _read(job, before, ranges)
    if topics.source_id(job.settings).hex() != before.log.topic_id:
        discard(before.raw, _files_of(parts))
        raise Conflict(f"topic {before.log.topic} was made again meanwhile")
    _land_rejected(job, before, parts)
    failpoint("after-rejected")
    return _land_raw(job, before, parts)


def _read(job: Landing, before: Before, ranges: Sequence[Range]) -> list[Part]:
    settings, log = job.settings, before.log
    rejected = job.table(tables.REJECTED)
    raw_target, rejected_target = target_of(before.raw), target_of(rejected)
    at = _rejected_cursors(before, snapshots.state(rejected).landed)
    tasks = [
        Task(
            range=r, rejected_from=max(r.start, at[r.partition].next_offset),
            client=client_of(settings), topic=log.topic, topic_id=log.topic_id,
            partitions=settings.partitions, slot_ms=settings.spec.slot_ms, raw=raw_target,
            rejected=rejected_target,
            memory_bytes=job.runner.share(settings.land.memory_mb << 20),
            accept_loss=job.accept_loss,
        )
        for r in ranges
    ]  # fmt: skip
    return job.runner.run(
        "land", part.land, tasks, discard=lambda done: discard(before.raw, _files_of(done))
    )


def _idle(job: Landing, before: Before) -> Before:
    """Nothing to read: says how far raw is complete, where that is worth a commit."""
    base, spec = before.base, job.settings.spec
    landed = claimed(job, before.landed, before.log)
    through_ms, said_ms = landed.through_ms, base.valid_through_ms or 0
    worth = (
        base.landed is None
        or _without_claims(base.landed) != _without_claims(landed)
        or slot_start_ms(through_ms, spec) > said_ms
        or through_ms >= said_ms + _IDLE_MS
        or through_ms < said_ms
        or said_ms < through_ms == job.until_ms
        # Accepting that rows are gone makes this snapshot the one to compare with.
        or (job.accept_loss and shortfall.suspicious(base))
    )
    if not worth:
        return before
    _commit_raw(job, before, landed, [])
    return begin_at(job, before.raw, before.log)


def _land_rejected(job: Landing, before: Before, parts: Sequence[Part]) -> None:
    """Rejected rows that the table does not hold yet, with how far it is then."""
    if not any(p.rejected_files for p in parts):
        return
    files = [file for p in parts for file in p.rejected_files]

    def attempt() -> int:
        table = job.table(tables.REJECTED)
        at = _rejected_cursors(before, snapshots.state(table).landed)
        for p in parts:
            _same_offset(at[p.range.partition], p.rejected_from, p.range.partition, table)
            at[p.range.partition] = Cursor(p.range.end, p.carried.newest_ms)
        landed = replace(before.landed, cursors=tuple(at))
        said = snapshots.properties(snapshots.LAND, job.report.run_id)
        return commit(table, files, said | landed.properties(), reached_ms=before.log.broker_ms)

    with _conflict_if_overtaken(before, _files_of(parts)):
        job.report.snapshots[tables.REJECTED] = retried(attempt)


def _land_raw(job: Landing, before: Before, parts: Sequence[Part]) -> Before:
    read = [(p.range, p.carried, p.last) for p in parts]
    files = [file for p in parts for file in p.raw]
    start: Before | None = before

    def attempt() -> Before:
        nonlocal start
        if start is None:
            start = begin_at(job, job.table(tables.RAW), before.log)
            for r, _, _ in read:
                _same_offset(start.landed.cursors[r.partition], r.start, r.partition, start.raw)
        now, start = start, None
        now = replace(now, lost=(*now.lost, *(loss for p in parts for loss in p.passed)))
        landed = plan.advance(now.landed, read, before.log.first_ms)
        landed = claimed(job, landed, before.log)
        _commit_raw(job, now, landed, files)
        return replace(now, landed=landed)

    with _conflict_if_overtaken(before, files):
        after = retried(attempt)
    _count(job, parts)
    failpoint("after-commit")
    return replace(after, base=snapshots.state(job.table(tables.RAW)))


def _commit_raw(job: Landing, at: Before, landed: Landed, files: Sequence[DataFile]) -> None:
    """Rows of raw, offsets and valid-through: one snapshot on top of `at`, or a conflict."""
    report = job.report
    said = snapshots.properties(snapshots.LAND, report.run_id, landed.through_ms)
    if at.lost:
        said[LOST] = "; ".join(map(str, at.lost))
    properties = said | landed.properties()
    report.snapshots[tables.RAW] = commit(at.raw, files, properties, reached_ms=at.log.broker_ms)
    report.counts["commits"] += 1
    report.changed = True
    if at.lost:
        report.counts["lost"] += sum(loss.end - loss.start for loss in at.lost)
        report.note(f"given up as lost: {said[LOST]}")
    if landed.through_ms < (at.base.valid_through_ms or 0) and at.base.landed is not None:
        report.note(
            f"valid through {format_utc(landed.through_ms)} again: "
            f"{format_utc(at.base.valid_through_ms or 0)} was claimed by a clock that was ahead"
        )


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


def _rejected_cursors(before: Before, said: Landed | None) -> list[Cursor]:
    """How far the table of rejected rows is, by partition."""
    at = list(before.landed.cursors)
    if said is not None and said.topic_id == before.log.topic_id:
        pairs = zip(at, said.cursors, strict=True)
        at = [max(pair, key=lambda cursor: cursor.next_offset) for pair in pairs]
    return at


def _without_claims(landed: Landed) -> Landed:
    cursors = tuple(replace(cursor, through_ms=0) for cursor in landed.cursors)
    return replace(landed, cursors=cursors)


def _count(job: Landing, parts: Sequence[Part]) -> None:
    counts, extra = job.report.counts, job.report.extra
    reasons = Counter(extra.get("rejected_by_reason", {}))
    for p in parts:
        counts["records"] += p.records
        counts["read"] += p.read
        counts["landed"] += p.valid
        counts["rejected"] += sum(p.rejected.values())
        if p.doubted:
            job.report.note(
                f"partition {p.range.partition}: {p.doubted:,} records are stamped far ahead of "
                "those before them and of their devices: they count with the devices' time"
            )
        reasons.update(p.rejected)
    extra["rejected_by_reason"] = dict(reasons.most_common())


def _balance(job: Landing) -> None:
    """read = landed + rejected; duplicates are among the landed until close decides them."""
    counts = job.report.counts
    if counts["read"] != counts["landed"] + counts["rejected"]:
        raise ImpressionsError(
            f"the landing does not balance: read {counts['read']:,} impressions, but "
            f"{counts['landed']:,} landed + {counts['rejected']:,} rejected",
            hint="this is a defect, please report it with the run report",
            reason="unbalanced",
        )


def _files_of(parts: Iterable[Part]) -> list[DataFile]:
    return [file for p in parts for file in p.files]


def _report(job: Landing, through_ms: int, landed: Landed, log: plan.Log) -> int:
    """Where the table stands, into the report; returns the valid-through."""
    partitions = [
        {
            "partition": p,
            "next_offset": cursor.next_offset,
            "end": end,
            "lag": max(0, end - cursor.next_offset),
            "ingested_through": format_utc(cursor.ingest_ms) if cursor.ingest_ms else None,
        }
        for p, (cursor, end) in enumerate(zip(landed.cursors, log.end, strict=True))
        if p in job.partitions
    ]
    job.report.counts["lag"] = sum(int(p["lag"] or 0) for p in partitions)
    job.report.extra |= {
        "topic": log.topic,
        "epoch": landed.epoch,
        "valid_through": format_utc(through_ms) if through_ms else None,
        "valid_through_ms": through_ms,
        "partitions": partitions,
    }
    return through_ms
