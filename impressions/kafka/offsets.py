"""Where the partitions of a topic begin and end, asked of the broker now.

A leader that was elected a moment ago does not answer until its replicas have what the leader
before had acknowledged, and until then clients may not know who leads. Both pass by themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError
from impressions.kafka.client import reading
from impressions.settings.model import Settings

_TIMEOUT_S = 10.0
_POLL_S = 0.1
_ELECTING = (
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
_Answer = TypeVar("_Answer")


def once_elected(ask: Callable[[], _Answer], timeout_s: float = _TIMEOUT_S) -> _Answer:
    """What `ask` returns; asked again while a partition has no leader that can answer.

    Raises:
        KafkaException: of `ask`, at once where it is about something else.
    """
    deadline_s = monotonic_s() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or monotonic_s() > deadline_s:
                raise
        time.sleep(_POLL_S)


@contextlib.contextmanager
def reader(settings: Settings, **more: Any) -> Iterator[Consumer]:
    """A consumer without a group."""
    consumer = Consumer(reading(settings, **more))
    try:
        yield consumer
    finally:
        consumer.close()


def range_of(
    settings: Settings, topic: str, partition: int, timeout_s: float = _TIMEOUT_S
) -> tuple[int, int]:
    """[first, end) of the offsets of a partition.

    Raises:
        ServiceError: the broker does not answer.
    """
    with reader(settings) as consumer:
        return watermarks(consumer, topic, partition, timeout_s)


def watermarks(
    consumer: Consumer, topic: str, partition: int, timeout_s: float = _TIMEOUT_S
) -> tuple[int, int]:
    """The same with a consumer that is open."""
    at = TopicPartition(topic, partition)
    try:
        found = once_elected(
            lambda: consumer.get_watermark_offsets(at, timeout=timeout_s), timeout_s
        )
    except KafkaException as error:
        raise ServiceError(
            f"topic {topic}, partition {partition}: {error.args[0].str()}",
            hint="is the broker reachable? impressions topics check",
            reason="broker",
        ) from None
    first, end = found
    return int(first), int(end)


def is_empty(
    settings: Settings,
    topic: str,
    partition: int,
    start: int,
    end: int,
    timeout_s: float = _TIMEOUT_S,
) -> bool:
    """Whether no record lies in [start, end): only what Kafka keeps for itself."""
    with reader(settings, enable_partition_eof=True) as consumer:
        consumer.assign([TopicPartition(topic, partition, start)])
        message = consumer.poll(timeout_s)
        if message is None:
            return False
        if message.error() is None:
            return bool(message.offset() >= end)
        # Any other error proves nothing. A partition that begins after `start` is one, because
        # `reader` does not go on at the end, as the library would by default.
        return bool(message.error().code() == KafkaError._PARTITION_EOF)
