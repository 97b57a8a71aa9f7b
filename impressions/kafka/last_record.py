"""Whether a partition was truncated: the last record that was applied is read again and compared.

An offset does not show that a partition was truncated before it and filled again (an unclean
election, a disk that was restored): the same numbers are other records then, and those between are
lost without a gap. So a digest of the last record that was applied is kept beside its offset. A
record that retention deleted proves nothing, and is reported as gone.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from impressions.clock import monotonic_s
from impressions.core.errors import Refused, ServiceError
from impressions.formats.flush_framing import KEPT_BYTES, whole_bytes
from impressions.kafka.offsets import reader, watermarks
from impressions.settings.model import Settings

_TIMEOUT_S = 10.0
_AT_ONCE, _POLL_S = 500, 0.2
_GONE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


@dataclass(frozen=True)
class LastRecord:
    """The offset of a record and what it was. `digest` is an int64; 0: none is known."""

    offset: int = -1
    digest: int = 0

    @classmethod
    def of(cls, offset: int, append_ms: int, value: bytes | None) -> LastRecord:
        """Of a record as it was read, complete or cut (impressions/formats/flush_framing.py)."""
        size = -1 if value is None else whole_bytes(value)
        content = struct.pack("<qq", append_ms, size) + bytes((value or b"")[:KEPT_BYTES])
        number = hashlib.blake2b(content, digest_size=8).digest()
        return cls(offset, int.from_bytes(number, "little", signed=True) or 1)


class Comparison(Enum):
    """What is at the offset of a record now, compared with what was there."""

    SAME = "same"
    OTHER = "other"
    GONE = "gone"


def compare(
    settings: Settings, topic: str, lasts: Mapping[int, LastRecord], timeout_s: float = _TIMEOUT_S
) -> dict[int, Comparison]:
    """By partition, of those with a known record.

    Raises:
        ServiceError: the broker does not answer.
    """
    known = {p: last for p, last in lasts.items() if last.digest}
    if not known:
        return {}
    with reader(settings, enable_partition_eof=True, queued_min_messages=1) as consumer:
        return {p: _look(consumer, topic, p, last, timeout_s) for p, last in known.items()}


def first_changed(
    settings: Settings,
    topic: str,
    partition: int,
    lasts: Sequence[LastRecord],
    stop: threading.Event,
) -> LastRecord | None:
    """The first of these records, ascending, that is another one now; None where none is, or
    `stop` is set. All between the first and the last of them is read.

    Raises:
        ServiceError: the broker does not answer.
    """
    with reader(settings, enable_partition_eof=True) as consumer:
        first, _ = watermarks(consumer, topic, partition, _TIMEOUT_S)
        left = deque(last for last in lasts if last.digest and last.offset >= first)
        if left:
            consumer.assign([TopicPartition(topic, partition, left[0].offset)])
        news_s = monotonic_s()
        while left and not stop.is_set():
            for message in consumer.consume(_AT_ONCE, _POLL_S):
                news_s = monotonic_s()
                if left and _passes(message, left[0]):
                    if _is_other(message, left[0]):
                        now = _other(consumer, topic, partition, left[0], _TIMEOUT_S)
                        return left[0] if now is Comparison.OTHER else None
                    left.popleft()
            if monotonic_s() - news_s > _TIMEOUT_S:
                raise _silent(topic, partition, left[0], _TIMEOUT_S)
    return None


def _passes(message: Message, last: LastRecord) -> bool:
    """Whether a message is at or after the offset of a record, or the end of the partition."""
    error = message.error()
    if error is not None:
        return error.code() in (*_GONE, KafkaError._PARTITION_EOF)
    return bool(message.offset() >= last.offset)


def _is_other(message: Message, last: LastRecord) -> bool:
    if message.error() is not None:
        return True
    return LastRecord.of(message.offset(), message.timestamp()[1], message.value()) != last


def refused(topic: str, partition: int, last: LastRecord, epoch: int) -> Refused:
    """The error of a record that is another one now; `epoch` is the stream.epoch it is of."""
    return Refused(
        f"topic {topic}, partition {partition}: the record at offset {last.offset} is not the one "
        "that was applied: the topic was truncated before it and filled again (an unclean "
        "election?)",
        hint=f"stream.epoch = {epoch + 1} for every worker and for land: they read the topic again "
        "from its first record, and drop what they have already",
        reason="topic_cut",
    )


def _look(
    consumer: Consumer, topic: str, partition: int, last: LastRecord, timeout_s: float
) -> Comparison:
    first, end = watermarks(consumer, topic, partition, timeout_s)
    if last.offset < first:
        return Comparison.GONE
    if last.offset >= end:
        return Comparison.OTHER
    consumer.assign([TopicPartition(topic, partition, last.offset)])
    deadline_s = monotonic_s() + timeout_s
    while (left_s := deadline_s - monotonic_s()) > 0:
        message = consumer.poll(left_s)
        if message is None:
            break
        if _passes(message, last):
            if not _is_other(message, last):
                return Comparison.SAME
            return _other(consumer, topic, partition, last, timeout_s)
    raise _silent(topic, partition, last, timeout_s)


def _other(
    consumer: Consumer, topic: str, partition: int, last: LastRecord, timeout_s: float
) -> Comparison:
    """Another record, unless retention took the one that was asked for meanwhile."""
    first, _ = watermarks(consumer, topic, partition, timeout_s)
    return Comparison.GONE if last.offset < first else Comparison.OTHER


def _silent(topic: str, partition: int, last: LastRecord, timeout_s: float) -> ServiceError:
    return ServiceError(
        f"topic {topic}, partition {partition}: offset {last.offset} was not sent in "
        f"{timeout_s:.0f} s",
        hint="is the broker well? impressions topics check",
        reason="broker",
    )
