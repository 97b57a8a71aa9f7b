"""The source topic into raw, exactly once: one commit, and one round of commits.

A commit:

    1  what main says: offsets, valid-through                          batch/snapshots.py
    2  what the broker says: first, end; the topic is the same one     batch/kafka_log.py
    3  rows that others deleted are landed again                       batch/shortfall.py
    4  read [next, end) once, keep the rows                            batch/kafka_source.py
    5  rejected rows -> impressions.rejected, with its own offsets
    6  rows and offsets and valid-through -> impressions.raw, in one commit

5 and 6 each land on exactly the snapshot they were computed from, or not at all (batch/guarded.py).
Killed between them, the rejected rows are in and their table says how far: the next run leaves them
out and lands the rest. Offsets of raw vouch for the rejected rows before them, so a table of
rejected rows whose own offsets are behind lacks nothing.

A round goes on until it has reached the ends that its first look saw. A round that finds nothing
says how far raw is complete all the same, but commits only where that ends a slot, reaches --until
or is ten minutes more: an idle topic shall not fill the table's history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from batch import (
    closing,
    guarded,
    kafka_log,
    land_pass,
    land_plan,
    land_repair,
    shortfall,
    snapshots,
    tables,
)
from batch.land_job import Before, Landing, begin, commit, valid_through
from batch.land_pass import Pass
from batch.land_plan import Range
from batch.land_rows import REJECTED
from batch.landed import Cursor
from batch.stages import stages
from impressions.errors import ImpressionsError
from impressions.kafka import topics
from impressions.shell.failpoint import failpoint
from impressions.slot import format_utc, slot_start_ms

_IDLE_MS = 600_000


def land(job: Landing) -> int:
    """One round; fills the report and returns the valid-through.

    Raises:
        Refused: another topic, records or rows that are gone, files that overlap.
        NotReady, ServiceError: no topic, no broker.
    """
    topics.check(job.settings)
    tables.create_if_missing(job.spark, job.settings, tables.RAW, tables.REJECTED)
    names = ("records", "read", "landed", "rejected", "repaired", "lost", "commits")
    job.report.counts.update(dict.fromkeys(names, 0))
    goal: tuple[int, ...] | None = None
    while True:
        after = closing.retried(lambda: _step(job))
        goal = goal or after.log.stop
        if all(land_plan.reached(after.landed, goal)):
            break
    _balance(job)
    return _tell(job, after)


def look(job: Landing) -> int:
    """A dry run: what a round would read; returns the valid-through as it is."""
    topics.check(job.settings)
    base = snapshots.State(None, None)
    if tables.exists(job.spark, job.settings, tables.RAW):
        tables.check_fits(job.spark, job.settings, tables.RAW)
        base = snapshots.state(job.spark, job.raw)
    log = kafka_log.ask(job.settings, job.clock, job.until_ms)
    landed = land_plan.begin(base.landed, log, job.settings.stream.epoch)
    lost = land_plan.losses(landed, log)
    left = land_plan.ranges(land_plan.skip(landed, lost, log), log, sum(log.end) + 1)
    job.report.counts.update(
        records=sum(r.end - r.start for r in left), lost=sum(x.end - x.start for x in lost)
    )
    return _tell(job, Before(base, landed, log))


def _step(job: Landing) -> Before:
    """One commit, if there is something to say. Returns how it left the table."""
    before = land_repair.repaired(job, begin(job))
    ranges = land_plan.ranges(before.landed, before.log, job.settings.land.max_records)
    if not ranges:
        return _idle(job, before)
    with land_pass.kept(job, before, ranges) as rows:
        found = land_pass.count(job, rows, ranges)
        if topics.source_id(job.settings).hex() != before.log.topic_id:
            raise snapshots.MainMoved(f"topic {before.log.topic} was made anew meanwhile")
        _land_rejected(job, before, ranges, found)
        failpoint("after-rejected")
        return _land_raw(job, before, ranges, found)


def _idle(job: Landing, before: Before) -> Before:
    """Nothing to read: says how far raw is complete, where that is worth a commit."""
    base, through_ms = before.base, valid_through(job, before, before.landed)
    said_ms = base.valid_through_ms or 0
    worth = (
        base.landed != before.landed
        or slot_start_ms(through_ms, job.settings.spec) > said_ms
        or through_ms >= said_ms + _IDLE_MS
        or said_ms < through_ms == job.until_ms
        # Accepting that rows are gone makes this snapshot the one to compare with.
        or (job.accept_loss and shortfall.suspicious(base))
    )
    if not worth:
        return before
    nothing = job.spark.table(job.raw).limit(0)
    commit(job, base, before.landed, nothing, through_ms, before.lost)
    return replace(before, base=snapshots.state(job.spark, job.raw))


def _land_rejected(job: Landing, before: Before, ranges: Sequence[Range], found: Pass) -> None:
    """Rejected rows that the table does not hold yet, with how far it is then."""
    if not found.rejected:
        return
    base = snapshots.state(job.spark, job.rejected)
    at = list(before.landed.cursors)
    if base.landed is not None and base.landed.topic_id == before.log.topic_id:
        pairs = zip(at, base.landed.cursors, strict=True)
        at = [max(pair, key=lambda cursor: cursor.next_offset) for pair in pairs]
    new = [
        replace(r, start=max(r.start, at[r.partition].next_offset))
        for r in ranges
        if at[r.partition].next_offset < r.end
    ]
    if not new:
        return
    for r in new:
        at[r.partition] = Cursor(r.end, found.ingest_ms[r.partition])
    wanted = " OR ".join(f"(shard = {r.partition} AND log_offset >= {r.start})" for r in new)
    rows = found.rows.where(f"kind = '{REJECTED}' AND ({wanted})")
    properties = {snapshots.OPERATION: snapshots.LAND, snapshots.RUN_ID: job.report.run_id}
    with stages(job.spark, "write rejected rows"):
        job.report.snapshots[tables.REJECTED] = guarded.append(
            tables.shaped(rows, tables.REJECTED, job.settings.spec),
            job.rejected,
            base.snapshot_id,
            properties | replace(before.landed, cursors=tuple(at)).properties(),
        )


def _land_raw(job: Landing, before: Before, ranges: Sequence[Range], found: Pass) -> Before:
    landed = land_plan.advance(before.landed, ranges, found.ingest_ms, before.log.first_ms)
    through_ms = valid_through(job, before, landed)
    with stages(job.spark, "write raw"):
        commit(job, before.base, landed, job.impressions(found.rows), through_ms, before.lost)
    counts, extra = job.report.counts, job.report.extra
    counts["records"] += found.records
    counts["read"] += found.read
    counts["landed"] += found.valid
    counts["rejected"] += sum(found.rejected.values())
    reasons = Counter(extra.get("rejected_by_reason", {})) + Counter(found.rejected)
    extra["rejected_by_reason"] = dict(reasons.most_common())
    failpoint("after-commit")
    return replace(before, landed=landed, base=snapshots.state(job.spark, job.raw))


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


def _tell(job: Landing, at: Before) -> int:
    """Where the table stands, into the report; returns the valid-through."""
    through_ms = at.base.valid_through_ms or 0
    partitions = [
        {
            "partition": p,
            "next_offset": cursor.next_offset,
            "end": end,
            "lag": max(0, end - cursor.next_offset),
            "ingested_through": format_utc(cursor.ingest_ms) if cursor.ingest_ms else None,
        }
        for p, (cursor, end) in enumerate(zip(at.landed.cursors, at.log.end, strict=True))
    ]
    job.report.counts["lag"] = sum(int(p["lag"] or 0) for p in partitions)
    job.report.extra |= {
        "topic": at.log.topic,
        "epoch": at.landed.epoch,
        "valid_through": format_utc(through_ms) if through_ms else None,
        "valid_through_ms": through_ms,
        "partitions": partitions,
    }
    return through_ms
