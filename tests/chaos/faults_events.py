"""Events that come again, come in floods, or are none."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator

from confluent_kafka import Producer, TopicPartition
from google.protobuf.message import DecodeError

from impressions.kafka import client as kafka
from impressions.v1.impression_record_pb2 import ImpressionRecord
from tests.chaos.judge import ends_of, messages_until, reader_of
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


def transactions(system: System, pick: random.Random) -> str:
    """Records come again in small transactions; a worker starts again while one of them is open,
    and that one is aborted."""
    topic, partition = system.settings.kafka.topic, pick.randrange(system.settings.partitions)
    values = list(_newest(system, partition, 100))
    if not values:
        raise Skip("an empty partition")
    name = f"chaos-{pick.getrandbits(32)}"
    producer = Producer(kafka.librdkafka(system.settings, transactional_id=name))
    producer.init_transactions(30)
    for at in range(0, len(values), 5):
        producer.begin_transaction()
        for value in values[at : at + 5]:
            producer.produce(topic, value, partition=partition)
        producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, values[-1], partition=partition)
    assert producer.flush(30) == 0
    worker = pick.choice(system.workers)
    worker.kill()
    time.sleep(pick.uniform(0, 5))
    producer.abort_transaction(30)
    return f"{len(values)} records of partition {partition}, {worker.name}"


def _newest(system: System, partition: int, most: int) -> Iterator[bytes]:
    with reader_of(system.settings) as consumer:
        at = TopicPartition(system.settings.kafka.topic, partition)
        first, end = ends_of(consumer, at)
        at.offset = max(first, end - most)
        for message in messages_until(consumer, at, end):
            yield message.value()


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


ALL = (resend, flood, junk, transactions)
