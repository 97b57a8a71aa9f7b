"""Reading the rejected topic from its beginning to its end of now."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import TopicPartition

from impressions.errors import ServiceError
from impressions.kafka.dead_letters import DeadLetter, read_letter
from impressions.kafka.offsets import reader, watermarks
from impressions.shell import log
from impressions.shell.settings import Settings

_AT_ONCE, _POLL_S = 1_000, 1.0


def dead_letters(settings: Settings) -> Iterator[DeadLetter]:
    """Every dead letter once, partition by partition, in the order it was first written.

    Raises:
        ServiceError: the broker does not answer, or stops to.
    """
    topic = settings.kafka.rejected_topic
    seen: set[str] = set()
    with reader(settings) as consumer:
        for partition in range(settings.partitions):
            first, end = watermarks(consumer, topic, partition)
            consumer.assign([TopicPartition(topic, partition, first)])
            for letter in _until(consumer, end) if first < end else ():
                if letter.identity not in seen:
                    seen.add(letter.identity)
                    yield letter


def _until(consumer: object, end: int) -> Iterator[DeadLetter]:
    at, idle = 0, 0
    while at < end:
        messages = consumer.consume(_AT_ONCE, _POLL_S)  # type: ignore[attr-defined]
        idle = 0 if messages else idle + 1
        if idle > 10:
            raise ServiceError("the rejected topic could not be read to its end", reason="broker")
        for message in messages:
            if message.error() is not None:
                continue
            at = message.offset() + 1
            try:
                yield read_letter(message.value() or b"", message.headers() or [])
            except (KeyError, ValueError):
                log.once("not-a-dead-letter", offset=message.offset())
