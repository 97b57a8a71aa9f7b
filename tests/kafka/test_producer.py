"""The producer on a real broker: everything arrives once, and what does not is counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from impressions.core.errors import NotReady, Refused, ServiceError, UsageError
from impressions.kafka import decoded_batch
from impressions.kafka.admin import connect
from impressions.producer import Impression, Log, Producer
from impressions.settings.model import Settings
from tests import patience
from tests.broker import TestBroker, read_topic, stream_settings

pytestmark = pytest.mark.kafka


def log(log_id: int, profile_id: int = 7, impressions: int = 1) -> Log:
    now_ms = int(time.time() * 1000)
    shown = [Impression(title, now_ms, played=title % 2 == 0) for title in range(impressions)]
    return Log(profile_id, log_id, shown)


def read(settings: Settings) -> list[decoded_batch.DecodedBatch]:
    """Everything in the source topic, decoded and judged partition by partition."""
    found = []
    for partition, messages in read_topic(settings, settings.kafka.topic).items():
        ingest_ms = np.array([message.timestamp()[1] for message in messages], np.int64)
        values = [message.value() for message in messages]
        found.append(
            decoded_batch.decode(values, ingest_ms, partition, settings.partitions, settings.spec)
        )
    return found


def log_ids(settings: Settings) -> Counter[int]:
    return Counter(i for batch in read(settings) for i in batch.log_id.tolist())


def test_every_flush_arrives_once_in_its_partition(tmp_path: Path, broker: TestBroker) -> None:
    """Of many profiles; many logs share a record; the reader rejects nothing."""
    settings = stream_settings(tmp_path, broker)
    pick = random.Random(1)
    logs = [log(i + 1, pick.randrange(2**63), pick.randrange(1, 5)) for i in range(2_000)]
    with Producer(settings) as producer:
        for one in logs:
            producer.send(one)
        assert producer.flush() == 0
        counts = producer.counts
    batches = read(settings)
    assert not any(batch.reason.any() or batch.unreadable for batch in batches)
    assert log_ids(settings) == Counter(one.log_id for one in logs)
    assert sum(batch.read for batch in batches) == sum(len(one.impressions) for one in logs)
    assert (counts.sent, counts.delivered) == (2_000, 2_000)
    assert counts.records < 40


def test_a_single_device_flush_is_sent_by_itself(tmp_path: Path, broker: TestBroker) -> None:
    """It waits `linger_s` for company, and no longer."""
    settings = stream_settings(tmp_path, broker)
    with Producer(settings, linger_s=0.02) as producer:
        producer.send(log(1))
        deadline = time.monotonic() + 10 * patience.FACTOR
        while producer.counts.delivered == 0:
            assert time.monotonic() < deadline
    assert log_ids(settings) == {1: 1}


def test_many_threads_share_a_producer(tmp_path: Path, broker: TestBroker) -> None:
    """Nothing lost and nothing doubled between them, in records of a few logs."""
    settings = stream_settings(tmp_path, broker)
    with Producer(settings, record_bytes=300) as producer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: producer.send(log(i, profile_id=i % 50)), range(1, 2_001)))
        assert producer.flush() == 0
    assert log_ids(settings) == Counter(range(1, 2_001))


def test_another_p_than_the_topics_is_refused(tmp_path: Path, broker: TestBroker) -> None:
    """Before anything is sent; so is a topic that is not there."""
    settings = stream_settings(tmp_path, broker)
    eight = Settings(home=tmp_path, partitions=8, kafka=settings.kafka.model_dump())
    with pytest.raises(Refused, match="it has 4 partitions, expected 8"):
        Producer(eight)
    with pytest.raises(NotReady, match="does not exist"):
        Producer(stream_settings(tmp_path, broker, create=False))


def test_a_flush_that_cannot_be_written_keeps_no_other(tmp_path: Path, broker: TestBroker) -> None:
    """Refused at once, all of it: by its values or by its size."""
    settings = stream_settings(tmp_path, broker)
    with Producer(settings) as producer:
        producer.send(log(1))
        with pytest.raises(UsageError, match="title_ids"):
            producer.send(Log(7, 2, [Impression(5, 1), Impression(2**64, 1)]))
        ids = range(300_000)
        with pytest.raises(UsageError, match=r"300,000 impressions\), expected at most") as caught:
            producer.add(7, 3, title_ids=ids, event_time_ms=ids)
        assert "several logs" in (caught.value.hint or "")
        assert producer.flush() == 0
    assert log_ids(settings) == {1: 1}
    with pytest.raises(UsageError, match="closed"):
        producer.send(log(4))


def test_what_the_broker_refuses_is_counted_and_named(tmp_path: Path, broker: TestBroker) -> None:
    """A topic with a lower limit: the large log fails for good, the small one arrives."""
    settings = stream_settings(tmp_path, broker)
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"max.message.bytes": "2000"})
    pick = random.Random(1)
    titles = [pick.randrange(2**55) for _ in range(1_000)]
    with Producer(settings) as producer:
        producer.add(7, 1, title_ids=titles, event_time_ms=titles)
        assert producer.flush() == 1
        assert list(producer.errors.values()) == [1]
        producer.send(log(2))
    unreported = Producer(settings)
    unreported.add(7, 3, title_ids=titles, event_time_ms=titles)
    with pytest.raises(ServiceError, match=r"1 of 1 logs were not delivered: .*large") as caught:
        unreported.__exit__(None, None, None)
    assert caught.value.reason == "not_delivered"
    assert log_ids(settings) == {2: 1}


def send_many(producer: Producer) -> None:
    for log_id in range(3, 5_000):
        producer.send(log(log_id, impressions=20))


@pytest.mark.slow
def test_a_broker_that_dies_is_waited_for(tmp_path: Path) -> None:
    """Killed: flush counts what is under way; a full queue blocks, then raises and is counted.

    Back again: the rest is delivered, each log once. Memory was bounded by the queue all the time.
    """
    broker = TestBroker(tmp_path)
    try:
        settings = stream_settings(tmp_path, broker)
        with Producer(settings, record_bytes=4_096, queue_bytes=64 << 10, block_s=0.3) as producer:
            producer.send(log(1))
            assert producer.flush() == 0
            broker.kill()
            producer.send(log(2))
            assert producer.flush(timeout_s=0.2) == 1
            with pytest.raises(ServiceError, match=r"queue .* stayed full"):
                send_many(producer)
            given_up = producer.counts.failed
            assert 0 < given_up < producer.counts.sent < 1_000
            broker.start()
            assert producer.flush(timeout_s=60) == given_up
            assert producer.counts.waiting == 0
        arrived = log_ids(settings)
        assert set(arrived.values()) == {1}
        assert len(arrived) == producer.counts.delivered
    finally:
        broker.close()
