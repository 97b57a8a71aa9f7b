"""Records of one range of a partition, in batches that are bounded by bytes.

librdkafka fetches; a batch ends at so many records or so many bytes, however large records are. A
range ends by position: once a record at or after its end came, or the broker said that this is the
end of the partition. Counting would never end where offsets have gaps. Two errors end the fetch: a
range that begins before the oldest record, and a record that the producer stamped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch.landing.plan import Range
from impressions.clock import monotonic_s
from impressions.core.errors import Refused, ServiceError
from impressions.kafka.client import reading
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

_BATCH_RECORDS, _BATCH_BYTES = 20_000, 8 << 20
_POLL_RECORDS, _POLL_S = 2_000, 0.2
_SILENCE_S = 60.0
_LOG_APPEND_TIME = 2  # confluent_kafka.TIMESTAMP_LOG_APPEND_TIME


def client_of(settings: Settings) -> dict[str, Any]:
    """librdkafka's properties of a reader; what it holds of fetches is bounded."""
    return reading(
        settings,
        client_id="impressions-land",
        enable_partition_eof=True,
        queued_max_messages_kbytes=32 << 10,
        fetch_max_bytes=16 << 20,
    )


@dataclass
class Records:
    """Some records of a range, in order: values, offsets, and the broker's stamps in ms.

    Attributes:
        accept_loss: pass over those that bear their producer's time.
        unstamped: the offsets of these.
        end: the offset after the last record that was taken or passed over; None before the first.
    """

    accept_loss: bool = False
    values: list[bytes | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    unstamped: list[int] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def taken(self) -> int:
        return len(self.values) + len(self.unstamped)

    @property
    def end(self) -> int | None:
        lasts = [offsets[-1] for offsets in (self.offsets, self.unstamped) if offsets]
        return max(lasts) + 1 if lasts else None

    @property
    def is_full(self) -> bool:
        return self.taken >= _BATCH_RECORDS or self.size_bytes >= _BATCH_BYTES

    def add(self, polled: Sequence[Message], end: int) -> tuple[int, bool, Message | None]:
        """Takes records before `end`, until it is full.

        Returns:
            How many were looked at, whether one at or after `end` came, and an event that is no
            record, if there is one; it is the last that was looked at.
        """
        for looked, message in enumerate(polled, 1):  # written out: every record passes here
            if message.error() is not None:
                return looked, False, message
            if (offset := message.offset()) >= end:
                return looked, True, None
            value, (kind, stamp_ms) = message.value(), message.timestamp()
            if kind != _LOG_APPEND_TIME:
                if not self.accept_loss:
                    raise _not_stamped(message)
                self.unstamped.append(offset)
                continue
            self.values.append(value)
            self.offsets.append(offset)
            self.stamps.append(stamp_ms)
            self.size_bytes += 0 if value is None else len(value)
            if self.size_bytes >= _BATCH_BYTES:
                return looked, False, None
        return len(polled), False, None


def batches(
    client: Mapping[str, Any], topic: str, part: Range, accept_loss: bool = False
) -> Iterator[Records]:
    """The records of [start, end), a batch at a time.

    Raises:
        Refused: the oldest record lies after `start`, or a record bears its producer's time and
            `accept_loss` is not set.
        ServiceError: the broker does not answer.
    """
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(dict(client))
    try:
        consumer.assign([TopicPartition(topic, part.partition, part.start)])
        held, at = Records(accept_loss), part.start
        through, heard_s = False, monotonic_s()
        while not through:
            polled = _polled(consumer, part.end - at)
            heard_s = _heard(polled, heard_s, topic, part)
            while polled and not through:
                looked, through, event = held.add(polled, part.end)
                polled = polled[looked:]
                if event is not None:
                    through |= _is_end(event, topic, part)
                at = at if held.end is None else held.end
                through |= at >= part.end
                if held.taken and (through or held.is_full):
                    yield held
                    held = Records(accept_loss)
    finally:
        consumer.close()


def _polled(consumer: Consumer, left: int) -> list[Message]:
    """What has been fetched, once there is anything; to wait for more would be to hold more."""
    polled: list[Message] = consumer.consume(1, _POLL_S)
    if polled and (more := min(_POLL_RECORDS, left) - 1):
        polled += consumer.consume(more, 0)
    return polled


def _not_stamped(message: Message) -> Refused:
    return Refused(
        f"topic {message.topic()}, partition {message.partition()}, offset {message.offset()}: "
        "its time is the producer's, expected the broker's (LogAppendTime)",
        hint="impressions topics check says how to fix the topic; records from before the fix "
        "are given up by `impressions land --accept-loss`: no generation will count them",
        reason="not_append_time",
    )


def _heard(polled: list[Message], heard_s: float, topic: str, part: Range) -> float:
    now_s = monotonic_s()
    if not polled and now_s - heard_s > _SILENCE_S:
        raise ServiceError(
            f"topic {topic}, partition {part.partition}: silent for {_SILENCE_S:.0f} s before "
            f"offset {part.end}",
            hint="is the broker well? what was landed is kept; run land again",
            reason="broker",
        )
    return now_s if polled else heard_s


def _is_end(message: Message, topic: str, part: Range) -> bool:
    """Whether this event means that the range is through; the other errors are raised."""
    from confluent_kafka import KafkaError

    error = message.error()
    if error.code() == KafkaError._PARTITION_EOF:
        return bool(message.offset() >= part.end)
    at = f"topic {topic}, partition {part.partition}, records {part.start}..{part.end}"
    gone = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
    if error.code() in gone:
        raise Refused(
            f"{at}: no longer in the topic", hint="run land again: it says how much is lost",
            reason="records_lost",
        )  # fmt: skip
    if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        return False  # librdkafka goes on trying; the silence above ends it
    raise ServiceError(f"{at}: {error.str()}", hint="impressions topics check", reason="broker")
