"""Where the partitions of a topic begin and end, asked of the broker now.

A leader that was elected a moment ago does not answer until its replicas have what the leader
before had acknowledged, and until then clients may not know who leads. Both pass by themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError
from impressions.kafka.client import reading
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, OffsetSpec

_TIMEOUT_S = 10.0
_POLL_S = 0.1
_AT_ONCE = 500
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


def listed(
    client: AdminClient, topic: str, partitions: Iterable[int], asked: OffsetSpec, timeout_s: float
) -> dict[int, Any]:
    """What `asked` means in each partition, with `offset` (-1: no such record) and `timestamp`.

    Raises:
        KafkaException: the broker does not answer.
    """
    every = {TopicPartition(topic, p): asked for p in partitions}

    def ask() -> dict[int, Any]:
        futures = client.list_offsets(
            every, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=timeout_s
        )
        return {at.partition: future.result() for at, future in futures.items()}

    return once_elected(ask, timeout_s)


def records_of(
    consumer: Consumer, topic: str, starts: Mapping[int, int], open_: set[int], timeout_s: float
) -> Iterator[Message]:
    """Records of several partitions, from these offsets on, as long as any is in `open_`: a
    partition leaves it at its end, or when the caller has seen enough.

    Args:
        consumer: with `enable_partition_eof`.

    Raises:
        ServiceError: the broker sends nothing for `timeout_s`, or an error.
    """
    consumer.assign([TopicPartition(topic, p, start) for p, start in starts.items()])
    heard_s = monotonic_s()
    while open_:
        # `consume` waits for as many as it was asked for, so it is not asked to wait for long.
        messages = consumer.consume(_AT_ONCE, _POLL_S)
        if messages:
            heard_s = monotonic_s()
        elif monotonic_s() - heard_s > timeout_s:
            raise ServiceError(
                f"topic {topic}, partitions {sorted(open_)}: the broker sends nothing more for "
                f"{timeout_s:g} s",
                hint="is it overloaded, or stopping? impressions topics check",
                reason="kafka",
            )
        for message in messages:
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                open_.discard(message.partition())
            else:
                raise ServiceError(f"topic {topic}: {error.str()}", reason="kafka")


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
