"""Where the partitions of a topic begin and end, asked of the broker now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from impressions.errors import ServiceError
from impressions.kafka.client import reading
from impressions.shell.settings import Settings

_TIMEOUT_S = 10.0


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
    """The same with a consumer that is there."""
    try:
        found = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
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
        # Any other error tells nothing; a log that begins behind `start` is one, because `reader`
        # does not go on at the end, as the library would by default.
        return bool(message.error().code() == KafkaError._PARTITION_EOF)
