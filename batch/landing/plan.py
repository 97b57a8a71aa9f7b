"""What to read of a topic next, and how far a table is complete afterwards. Pure.

In: what is landed, and what the broker says of the topic's partitions (`TopicState`). Out: a range
of offsets per partition, or a refusal: of a topic that was deleted and created again, of records
that were deleted before they were landed.

    |---------- landed ----------|------ range ------|......|
    first      (deleted < first)  next                stop   end
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from batch.lake.cursor import Cursor, Landed
from impressions.core.errors import Refused
from impressions.core.ingest_time import Carried
from impressions.kafka.last_record import LastRecord, refused


@dataclass(frozen=True)
class TopicState:
    """The source topic as the broker described it, after `asked_ms` by the lander's clock.

    Attributes:
        broker_ms: a time that the broker had reached by then, by its own clock.
        first, end: by partition, offsets of the oldest record it holds and of the next one to come.
        stop: `end`, or the first record ingested at or after the time asked for.
        first_ms: broker time of the oldest record of all partitions; None where there is none.
        unseen: partitions with records that were stamped by then and lie at `end` or after it.
    """

    topic: str
    topic_id: str
    asked_ms: int
    broker_ms: int
    first: tuple[int, ...]
    end: tuple[int, ...]
    stop: tuple[int, ...]
    first_ms: int | None
    unseen: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Range:
    """Records [start, end) of one partition; the two times are carried to `start`."""

    partition: int
    start: int
    end: int
    ingest_ms: int
    suspect_ms: int = 0


@dataclass(frozen=True)
class Loss:
    """Records [start, end) of one partition that are not in the topic, nor were they landed."""

    partition: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}: {self.end - self.start:,} ({self.start}..{self.end})"


def begin(landed: Landed | None, seen: TopicState, epoch: int) -> Landed:
    """Where landing goes on: where it stopped, or the first record of a topic not landed yet.

    Raises:
        Refused: the topic is another one than was landed, and stream.epoch does not say so.
    """
    fresh = Landed(seen.topic, seen.topic_id, epoch, None, tuple(map(Cursor, seen.first)))
    if landed is None:
        return fresh
    if epoch < landed.epoch:
        raise Refused(
            f"stream.epoch is {epoch}, but topic {landed.topic} was landed with {landed.epoch}",
            hint=f"set stream.epoch to {landed.epoch}",
            reason="epoch",
        )
    if seen.topic_id == landed.topic_id:
        return replace(landed, topic=seen.topic, epoch=epoch)
    if epoch == landed.epoch:
        raise Refused(
            f"topic {seen.topic} has id {seen.topic_id}, expected {landed.topic_id}: it was "
            "deleted and created again, so its offsets start again",
            hint=f"raise stream.epoch to {landed.epoch + 1} here and for the workers; "
            "the new topic is then landed from its first record",
            reason="topic_recreated",
        )
    return replace(fresh, first_ms=landed.first_ms)


def losses(landed: Landed, seen: TopicState) -> list[Loss]:
    """Records that will never be landed: deleted before that, or cut off their partition."""
    lost = []
    for p, cursor in enumerate(landed.cursors):
        if cursor.next_offset < seen.first[p]:
            lost.append(Loss(p, cursor.next_offset, seen.first[p]))
        elif cursor.next_offset > seen.end[p]:
            lost.append(Loss(p, seen.end[p], cursor.next_offset))
    return lost


def losses_of(partition: int, offsets: Sequence[int]) -> list[Loss]:
    """These records, ascending, as ranges."""
    lost: list[Loss] = []
    for offset in offsets:
        start = lost.pop().start if lost and lost[-1].end == offset else offset
        lost.append(Loss(partition, start, offset + 1))
    return lost


def refuse(lost: Sequence[Loss], seen: TopicState) -> None:
    """Raises Refused, naming partitions and how many records, where there are any."""
    if lost:
        total = sum(loss.end - loss.start for loss in lost)
        raise Refused(
            f"topic {seen.topic}: {total:,} records went before they were landed: "
            + "; ".join(map(str, lost)),
            hint="kafka.retention_days is too short for how often land runs, or records were "
            "deleted; after `impressions land --accept-loss` no generation will count them",
            reason="records_lost",
        )


def skip(landed: Landed, lost: Sequence[Loss], seen: TopicState) -> Landed:
    """The same with the cursors on records that exist."""
    cursors = list(landed.cursors)
    for p in (loss.partition for loss in lost):
        at = min(max(cursors[p].next_offset, seen.first[p]), seen.end[p])
        cursors[p] = replace(cursors[p], next_offset=at, last=LastRecord())
    return replace(landed, cursors=tuple(cursors))


def restarted(landed: Landed, cut: Collection[int], seen: TopicState, said_epoch: int) -> Landed:
    """The same, where partitions were cut before what was landed and filled again: once
    stream.epoch is raised they are landed from the first record they hold; what is in raw already
    is a duplicate there, and dropped as one.

    Args:
        said_epoch: the stream.epoch of the last landing.

    Raises:
        Refused: the epoch is the one that the cut partitions were landed with.
    """
    cursors = list(landed.cursors)
    for p in cut:
        if landed.epoch <= said_epoch:
            raise refused(seen.topic, p, cursors[p].last, said_epoch)
        cursors[p] = replace(cursors[p], next_offset=seen.first[p], last=LastRecord())
    return replace(landed, cursors=tuple(cursors))


def ranges(
    landed: Landed, seen: TopicState, max_records: int, partitions: Collection[int]
) -> list[Range]:
    """What one commit reads: at most `max_records` of each of these partitions that has any."""
    wanted = []
    for p in sorted(partitions):
        cursor = landed.cursors[p]
        end = min(seen.stop[p], cursor.next_offset + max_records)
        if cursor.next_offset < end:
            wanted.append(Range(p, cursor.next_offset, end, cursor.ingest_ms, cursor.suspect_ms))
    return wanted


def advance(
    landed: Landed, read: Sequence[tuple[Range, Carried, LastRecord]], first_ms: int | None
) -> Landed:
    """`landed` after `read`: ranges, what their records leave to those that follow, and the last
    one of them, if there was any."""
    cursors = list(landed.cursors)
    for r, carried, last in read:
        before = cursors[r.partition]
        cursors[r.partition] = replace(
            before,
            next_offset=r.end,
            ingest_ms=max(r.ingest_ms, carried.newest_ms),
            suspect_ms=carried.suspect_ms,
            last=last if last.digest else before.last,
        )
    known = landed.first_ms if landed.first_ms is not None else first_ms
    return replace(landed, cursors=tuple(cursors), first_ms=known)


def claimed(
    landed: Landed,
    seen: TopicState,
    margin_ms: int,
    until_ms: int | None,
    partitions: Collection[int],
) -> Landed:
    """`landed`, with how far each of these partitions is complete.

    A partition that is landed up to its end gets later records with later stamps, but for what
    clocks differ by, the margin. So a silent one stalls nothing. One with records left, or with
    some that the broker does not show yet, says the time of its last landed record, which others
    may share. With `until_ms`, records at or after it are not asked for.

    No time is claimed that only one clock has seen: both the lander's and the broker's must have
    reached it. What was claimed beyond that, by a clock that was ahead, is taken back; else what an
    earlier landing said stays true.
    """
    vouched_ms = min(seen.asked_ms, seen.broker_ms) - margin_ms
    drained_ms = vouched_ms if until_ms is None else min(vouched_ms, until_ms)
    drained = reached(landed, seen.stop)
    cursors = list(landed.cursors)
    for p in partitions:
        cursor = cursors[p]
        has_all = drained[p] and p not in seen.unseen
        found_ms = max(drained_ms, cursor.ingest_ms) if has_all else cursor.ingest_ms
        said_ms = cursor.through_ms
        keeps = said_ms <= max(vouched_ms, cursor.ingest_ms)
        cursors[p] = replace(cursor, through_ms=max(said_ms, found_ms) if keeps else found_ms)
    return replace(landed, cursors=tuple(cursors))


def reached(landed: Landed, stop: Sequence[int]) -> list[bool]:
    """By partition: whether everything before `stop` is landed."""
    return [c.next_offset >= s for c, s in zip(landed.cursors, stop, strict=True)]
