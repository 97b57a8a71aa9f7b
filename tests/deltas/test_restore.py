"""When a copy counts as restored: at the end asked for at the start, however it is reached."""

import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from impressions.core.errors import NotReady
from impressions.core.shard import shard_of
from impressions.deltas.follower import Follower, restore_partition
from impressions.deltas.store import open_primary
from impressions.formats import heartbeat
from impressions.formats.delta_block import key
from impressions.kafka import client
from tests.broker import compact_soon, stream_settings
from tests.deltas.follow import NOW_MS, PROFILE, block, follow_until, restored, through_of
from tests.deltas.support import Publisher, beat_of, deltas_id
from tests.serving.support import until

pytestmark = pytest.mark.kafka


def test_restore_ends_on_a_compacted_topic(tmp_path, broker):
    """Small segments, one key rewritten again and again; the copy has the last block of each key
    although most offsets are gone, and knows that it reached the end."""
    settings = stream_settings(tmp_path, broker, partitions=1, slot_seconds=20)
    compact_soon(settings)
    stream = Publisher(settings)
    sent = 0
    at = TopicPartition(settings.kafka.deltas_topic, 0)

    def written_and_compacted():
        nonlocal sent
        for _ in range(20):
            sent += 1
            stream.put(key(PROFILE, NOW_MS), block(settings, offset=sent, titles=50))
        stream.beat(NOW_MS + sent, offset=sent)
        return first_gap(settings, at)

    until(written_and_compacted, "the cleaner ran", within_s=60)
    store = open_primary(tmp_path / "store")
    end = restore_partition(settings, store, 0)
    assert end >= sent
    assert store.get(key(PROFILE, NOW_MS)) == block(settings, offset=sent, titles=50)
    assert through_of(store, 0, settings) == NOW_MS + sent
    assert store.state(0).restoring is False
    store.close()


def test_restore_ends_after_a_transaction(settings, store):
    """Its marker takes the last offset and is no record: the position never gets there by one."""
    producer = Producer(
        client.librdkafka(settings, transactional_id=f"t-{settings.kafka.deltas_topic}")
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    beat = beat_of(settings, 0, NOW_MS, deltas_id=deltas_id(settings))
    producer.produce(settings.kafka.deltas_topic, beat, heartbeat.KEY, partition=0)
    producer.commit_transaction(20)
    assert restore_partition(settings, store, 0) == 2
    assert through_of(store, 0, settings) == NOW_MS


def test_silence_is_the_end_too_if_the_broker_answers(settings, stream, store, follower):
    """As where the last records were compacted away: the end is two records further than any."""
    stream.beat(NOW_MS)
    follow_until(follower, lambda: follower.states, "it began")
    follower._copies[0].restore_end, follower._copies[1].restore_end = 3, None
    started_s = time.monotonic()
    restored(follower)
    assert 1 < time.monotonic() - started_s < 20
    assert store.state(0).restoring is False


@pytest.mark.parametrize("partitions", [(0, 1), (0,)])
def test_only_a_copy_that_lacks_everything_is_filled(settings, stream, partitions, tmp_path):
    """Both partitions have something to come: neither has readers yet. One of the two does not:
    it is followed already, and what it gets is seen at once."""
    for partition in partitions:
        stream.beat(NOW_MS, partitions=[partition])
    store = open_primary(tmp_path / "filled")
    follower = Follower(settings, store, (0, 1))
    filled = []
    store.fill, store.filled = lambda: filled.append(True), lambda: filled.append(False)
    restored(follower)
    assert filled[0] is (partitions == (0, 1))
    assert filled[-1] is False
    follower.close()
    store.close()


def first_gap(settings, at):
    """Whether offsets of the topic are missing by now."""
    consumer = Consumer(client.librdkafka(settings, group_id="gap", auto_offset_reset="earliest"))
    consumer.assign([TopicPartition(at.topic, 0, 0)])
    _, end = consumer.get_watermark_offsets(at, timeout=10)
    offsets = []
    while not offsets or offsets[-1] < end - 1:
        offsets += [m.offset() for m in consumer.consume(500, 1.0) if m.error() is None]
    consumer.close()
    return len(offsets) < end


def test_restoring_until_the_end_that_was_asked_for_at_the_start(settings, stream, store, follower):
    """The state says so from the first look to the last record, and a stop ends it early."""
    for offset in range(5000):
        stream.put(key(PROFILE, NOW_MS), block(settings, offset=offset))
    stream.beat(NOW_MS)
    partition, seen = shard_of(PROFILE, 2), []
    follow_until(follower, lambda: store.state(partition), "it began")
    while follower.restoring:
        follower.poll(0.2)
        seen.append((store.state(partition).restoring, store.state(partition).next_offset))
    assert (True, 0) in seen or any(restoring for restoring, _ in seen[:-1])
    assert all(restoring == (at < 5001) for restoring, at in seen)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(NotReady, match="stopped"):
        restore_partition(settings, open_primary(settings.home / "other"), 0, stopping)
