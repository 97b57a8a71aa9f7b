"""One round of landing the source topic into raw, exactly once.

A commit:

    1  what main says: offsets, valid-through                          lake/snapshots.py
    2  what the broker says: first, end; the topic is the same one     topic.py
    3  rows that others deleted are landed again                       repair.py
    4  read [next, end) of each partition, written as data files       part.py
    5  rejected rows -> impressions.rejected, with its own offsets     appending.py
    6  rows and offsets and valid-through -> impressions.raw           appending.py

A round goes on until it has reached the ends that its first look saw. A round with nothing to read
says how far raw is complete all the same, but commits only where that ends a slot, reaches --until,
is ten minutes more, or takes back what a clock that was ahead had claimed: an idle topic shall not
fill the table's history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from batch.lake import snapshots, tables
from batch.lake.conflict import Conflict, retried
from batch.lake.cursor import Landed
from batch.lake.data_file_writer import target_of
from batch.lake.guarded_commit import discard
from batch.landing import appending, part, plan, repair, shortfall, topic
from batch.landing.fetch import client_of
from batch.landing.job import Before, Landing, begin, begin_at, claimed
from batch.landing.outcome import Round
from batch.landing.part import Part, Task
from batch.landing.plan import Range
from batch.landing.tally import Tally
from impressions.core.errors import ImpressionsError
from impressions.core.slot import slot_start_ms
from impressions.kafka import topics
from impressions.process.failpoint import failpoint

_IDLE_MS = 600_000


def land(job: Landing) -> Round:
    """One round.

    Raises:
        Refused: another topic, records or rows that are gone, files that overlap.
        NotReady, ServiceError: no topic, no broker, others that always commit first.
    """
    topics.check(job.settings)
    tables.create_if_missing(job.settings, tables.RAW, tables.REJECTED)
    done = Tally()
    goal: tuple[int, ...] | None = None
    while True:
        after, more = _step(job)
        done += more
        goal = goal or after.seen.stop
        there = plan.reached(after.landed, goal)
        if all(there[p] for p in job.partitions):
            break
    _balance(done)
    through_ms = after.base.valid_through_ms or 0
    return Round(done, through_ms, after.landed, after.seen, job.partitions)


def look(job: Landing) -> Round:
    """A dry run: what a round would read, and the table as it is."""
    topics.check(job.settings)
    seen = topic.ask(job.settings, job.clock, job.until_ms)
    raw = tables.fitting(job.settings, tables.RAW)
    base = snapshots.State() if raw is None else snapshots.state(raw)
    landed = plan.begin(base.landed, seen, job.settings.stream.epoch)
    lost = plan.losses(landed, seen)
    left = plan.ranges(plan.skip(landed, lost, seen), seen, sum(seen.end) + 1, job.partitions)
    would = Tally(
        records=sum(r.end - r.start for r in left), lost=sum(x.end - x.start for x in lost)
    )
    return Round(would, base.valid_through_ms or 0, landed, seen, job.partitions)


def _step(job: Landing) -> tuple[Before, Tally]:
    """One commit, if there is something to say: how it left the table, and what was done, also by
    attempts that met a conflict after a commit of theirs."""
    done: list[Tally] = []
    after = retried(lambda: _attempt(job, done.append))
    return after, sum(done, Tally())


def _attempt(job: Landing, did: Callable[[Tally], None]) -> Before:
    """`did` gets to know of each commit once it is made."""
    before, repaired = repair.repaired(job, begin(job))
    did(repaired)
    ranges = plan.ranges(before.landed, before.seen, job.settings.land.max_records, job.partitions)
    if not ranges:
        after, said = _idle(job, before)
        did(said)
        return after
    parts = _read(job, before, ranges)
    if topics.source_id(job.settings).hex() != before.seen.topic_id:
        discard(before.raw, appending.files_of(parts))
        raise Conflict(f"topic {before.seen.topic} was made again meanwhile")
    did(appending.append_rejected(job, before, parts))
    failpoint("after-rejected")
    after, landed = appending.append_raw(job, before, parts)
    did(landed)
    return after


def _read(job: Landing, before: Before, ranges: Sequence[Range]) -> list[Part]:
    settings, seen = job.settings, before.seen
    rejected = job.table(tables.REJECTED)
    raw_target, rejected_target = target_of(before.raw), target_of(rejected)
    at = appending.rejected_cursors(before, snapshots.state(rejected).landed)
    tasks = [
        Task(
            range=r, rejected_from=max(r.start, at[r.partition].next_offset),
            client=client_of(settings), topic=seen.topic, topic_id=seen.topic_id,
            partitions=settings.partitions, slot_ms=settings.spec.slot_ms, raw=raw_target,
            rejected=rejected_target, memory_bytes=job.runner.share(job.memory_bytes),
            accept_loss=job.accept_loss,
        )
        for r in ranges
    ]  # fmt: skip
    landed: list[list[Part]] = job.runner.run(
        "land", part.land, part.shared(tasks, job.runner.width),
        discard=lambda done: discard(before.raw, appending.files_of(chain.from_iterable(done))),
    )  # fmt: skip
    return list(chain.from_iterable(landed))


def _idle(job: Landing, before: Before) -> tuple[Before, Tally]:
    """Nothing to read: says how far raw is complete, where that is worth a commit."""
    base, spec = before.base, job.spec
    landed = claimed(job, before.landed, before.seen)
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
        return before, Tally()
    done = appending.commit_raw(job, before, landed, [])
    return begin_at(job, before.raw, before.seen), done


def _without_claims(landed: Landed) -> Landed:
    cursors = tuple(replace(cursor, through_ms=0) for cursor in landed.cursors)
    return replace(landed, cursors=cursors)


def _balance(done: Tally) -> None:
    """read = landed + rejected; duplicates are among the landed until close decides them."""
    if done.read != done.landed + done.rejected:
        raise ImpressionsError(
            f"the landing does not balance: read {done.read:,} impressions, but "
            f"{done.landed:,} landed + {done.rejected:,} rejected",
            hint="this is a defect, please report it with the run report",
            reason="unbalanced",
        )
