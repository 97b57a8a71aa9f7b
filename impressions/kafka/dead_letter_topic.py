"""Reading the rejected topic from its beginning to its present end.

Any program may have written there. A message that is no dead letter is a `Stray`: it is reported,
and reading goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from confluent_kafka import Message, TopicPartition

from impressions.core.errors import ServiceError
from impressions.kafka.dead_letters import DeadLetter, read_dead_letter
from impressions.kafka.offsets import reader, watermarks
from impressions.settings.model import Settings

_AT_ONCE, _POLL_S = 100, 1.0
"""Messages of a poll: of 8 MiB each, they have to fit the memory."""


@dataclass(frozen=True)
class Stray:
    """A message of the rejected topic that is no dead letter: where it is, and why it is none."""

    topic: str
    partition: int
    offset: int
    value: bytes
    because: str

    reasons: ClassVar[tuple[str]] = ("unreadable",)
    counts: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        """Its own offset: where it came from is not known."""
        return f"{self.topic}:{self.partition}:{self.offset}"


def dead_letters(settings: Settings) -> Iterator[DeadLetter | Stray]:
    """Every dead letter once, partition by partition, in the order it was first written; and every
    message that is none.

    Raises:
        ServiceError: the broker does not answer, or stops answering.
    """
    topic = settings.kafka.rejected_topic
    seen: set[str] = set()
    with reader(settings) as consumer:
        for partition in range(settings.partitions):
            first, end = watermarks(consumer, topic, partition)
            consumer.assign([TopicPartition(topic, partition, first)])
            for message in _until(consumer, end) if first < end else ():
                found = parsed(message)
                if isinstance(found, Stray):
                    yield found
                elif found.identity not in seen:
                    seen.add(found.identity)
                    yield found


def parsed(message: Message) -> DeadLetter | Stray:
    """A message as a dead letter, or as a stray."""
    value = message.value() or b""
    try:
        return read_dead_letter(value, message.headers() or [])
    except ValueError as error:
        return Stray(message.topic(), message.partition(), message.offset(), value, str(error))


def _until(consumer: object, end: int) -> Iterator[Message]:
    at, idle = 0, 0
    while at < end:
        messages = consumer.consume(_AT_ONCE, _POLL_S)  # type: ignore[attr-defined]
        idle = 0 if messages else idle + 1
        if idle > 10:
            raise ServiceError("the rejected topic could not be read to its end", reason="broker")
        for message in messages:
            if message.error() is None:
                at = message.offset() + 1
                yield message
