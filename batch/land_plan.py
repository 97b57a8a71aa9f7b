"""What to read of a topic next, and how far a table is complete afterwards. Pure.

In: what is landed, and what the broker says of the topic's partitions (`Log`). Out: a range of
offsets per partition, or a refusal: of a topic that was made anew, of records that were deleted
before anybody landed them.

    |---------- landed ----------|------ range ------|......|
    first      (deleted < first)  next                stop   end
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batch.landed import Cursor, Landed
from impressions.errors import Refused


@dataclass(frozen=True)
class Log:
    """The source topic as the broker described it, after `asked_ms` by the lander's clock.

    Attributes:
        first, end: by partition, offsets of the oldest record it holds and of the next one to come.
        stop: `end`, or the first record ingested at or after the time asked for.
        first_ms: broker time of the oldest record of all partitions; None where there is none.
    """

    topic: str
    topic_id: str
    asked_ms: int
    first: tuple[int, ...]
    end: tuple[int, ...]
    stop: tuple[int, ...]
    first_ms: int | None


@dataclass(frozen=True)
class Range:
    """Records [start, end) of one partition; `ingest_ms` is carried to `start`."""

    partition: int
    start: int
    end: int
    ingest_ms: int


@dataclass(frozen=True)
class Loss:
    """Records [start, end) of one partition that are not in the topic, nor were they landed."""

    partition: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}: {self.end - self.start:,} ({self.start}..{self.end})"


def begin(landed: Landed | None, log: Log, epoch: int) -> Landed:
    """Where landing goes on: where it stopped, or the first record of a topic not landed yet.

    Raises:
        Refused: the topic is another one than was landed, and stream.epoch does not say so.
    """
    fresh = Landed(log.topic, log.topic_id, epoch, None, tuple(map(Cursor, log.first)))
    if landed is None:
        return fresh
    if epoch < landed.epoch:
        raise Refused(
            f"stream.epoch is {epoch}, but topic {landed.topic} was landed with {landed.epoch}",
            hint=f"set stream.epoch to {landed.epoch}",
            reason="epoch",
        )
    if log.topic_id == landed.topic_id:
        return replace(landed, topic=log.topic, epoch=epoch)
    if epoch == landed.epoch:
        raise Refused(
            f"topic {log.topic} has id {log.topic_id}, expected {landed.topic_id}: it was deleted "
            "and made again, so its offsets start anew",
            hint=f"raise stream.epoch to {landed.epoch + 1} here and for the workers; "
            "the new topic is then landed from its first record",
            reason="topic_recreated",
        )
    return replace(fresh, first_ms=landed.first_ms)


def losses(landed: Landed, log: Log) -> list[Loss]:
    """Records that will never be landed: deleted before that, or the log was cut behind them."""
    found = []
    for p, cursor in enumerate(landed.cursors):
        if cursor.next_offset < log.first[p]:
            found.append(Loss(p, cursor.next_offset, log.first[p]))
        elif cursor.next_offset > log.end[p]:
            found.append(Loss(p, log.end[p], cursor.next_offset))
    return found


def refuse(lost: Sequence[Loss], log: Log) -> None:
    """Raises Refused, naming partitions and how many records, where there are any."""
    if lost:
        total = sum(loss.end - loss.start for loss in lost)
        raise Refused(
            f"topic {log.topic}: {total:,} records went before they were landed: "
            + "; ".join(map(str, lost)),
            hint="kafka.retention_days is too short for how often land runs, or records were "
            "deleted; `impressions land --accept-loss` goes on behind them and notes the loss",
            reason="records_lost",
        )


def skip(landed: Landed, lost: Sequence[Loss], log: Log) -> Landed:
    """The same with the cursors on records that exist."""
    cursors = list(landed.cursors)
    for p in (loss.partition for loss in lost):
        at = min(max(cursors[p].next_offset, log.first[p]), log.end[p])
        cursors[p] = replace(cursors[p], next_offset=at)
    return replace(landed, cursors=tuple(cursors))


def ranges(landed: Landed, log: Log, max_records: int) -> list[Range]:
    """What one commit reads: at most `max_records` of each partition that has any."""
    found = []
    for p, cursor in enumerate(landed.cursors):
        end = min(log.stop[p], cursor.next_offset + max_records)
        if cursor.next_offset < end:
            found.append(Range(p, cursor.next_offset, end, cursor.ingest_ms))
    return found


def advance(
    landed: Landed, read: Sequence[Range], ingest_ms: Mapping[int, int], first_ms: int | None
) -> Landed:
    """`landed` after `read`, whose newest ingest times per partition are `ingest_ms`."""
    cursors = list(landed.cursors)
    for r in read:
        cursors[r.partition] = Cursor(r.end, max(r.ingest_ms, ingest_ms[r.partition]))
    known = landed.first_ms if landed.first_ms is not None else first_ms
    return replace(landed, cursors=tuple(cursors), first_ms=known)


def valid_through(landed: Landed, log: Log, margin_ms: int, until_ms: int | None) -> int:
    """Every record ingested before this is landed: the least of what each partition says.

    A partition that is landed up to its end, as asked after the lander's clock showed `asked_ms`,
    gets later records with later stamps, but for what the two clocks differ by, the margin. So a
    silent one stalls nothing. One with records left says the time of its last landed record, which
    others may share. With `until_ms`, whatever lies at or behind it is not asked for.
    """
    drained_ms = log.asked_ms - margin_ms
    if until_ms is not None:
        drained_ms = min(drained_ms, until_ms)
    return min(
        max(drained_ms, cursor.ingest_ms) if drained else cursor.ingest_ms
        for cursor, drained in zip(landed.cursors, reached(landed, log.stop), strict=True)
    )


def reached(landed: Landed, stop: Sequence[int]) -> list[bool]:
    """By partition: whether everything before `stop` is landed."""
    return [c.next_offset >= s for c, s in zip(landed.cursors, stop, strict=True)]
