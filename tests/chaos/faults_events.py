"""Events that come again, come in floods, or are none."""

from __future__ import annotations

import random
from collections.abc import Iterable

from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf.message import DecodeError

from impressions.kafka import client as kafka
from impressions.v1.impression_record_pb2 import ImpressionRecord
from tests.chaos.judge import ends_of
from tests.chaos.skip import Skip
from tests.chaos.system import System

_MOST = 1_000


def resend(system: System, pick: random.Random) -> str:
    """The newest records of a partition once more, byte for byte, as a gateway that got no answer
    does."""
    partition = pick.randrange(system.settings.partitions)
    values = list(_newest(system, partition, pick.choice((50, _MOST))))
    _produce(system, partition, values)
    if not values:
        raise Skip("an empty partition")
    return f"{len(values)} records of partition {partition}"


def flood(system: System, pick: random.Random) -> str:
    """Two thousand logs at once."""
    system.burst.send(2_000)
    system.burst.flush()
    return "2,000 logs"


def junk(system: System, pick: random.Random) -> str:
    """Bytes that are no record, between those that are."""
    values = [value for _ in range(30) if not _is_record(value := pick.randbytes(40))]
    for value in values:
        _produce(system, pick.randrange(system.settings.partitions), [value])
    return f"{len(values)} records"


def _newest(system: System, partition: int, most: int) -> Iterable[bytes]:
    topic = system.settings.kafka.topic
    options = {"group_id": "resend", "enable_auto_commit": False}
    consumer = Consumer(kafka.librdkafka(system.settings, **options))
    try:
        first, end = ends_of(consumer, TopicPartition(topic, partition))
        at = max(first, end - most)
        consumer.assign([TopicPartition(topic, partition, at)])
        while at < end:
            message = consumer.poll(20)
            assert message is not None
            assert message.error() is None, message.error()
            at = message.offset() + 1
            yield message.value()
    finally:
        consumer.close()


def _produce(system: System, partition: int, values: Iterable[bytes]) -> None:
    producer = Producer(kafka.librdkafka(system.settings, acks="all"))
    for value in values:
        producer.produce(system.settings.kafka.topic, value, partition=partition)
    assert producer.flush(30) == 0


def _is_record(value: bytes) -> bool:
    try:
        ImpressionRecord.FromString(value)
    except DecodeError:
        return False
    return True


ALL = (resend, flood, junk)
