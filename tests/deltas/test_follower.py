"""The follower on a real broker: what it copies, what it refuses, when it starts over."""

import contextlib
import threading
import time

import pytest
from confluent_kafka import TopicPartition

from impressions.core.errors import CorruptData, NotReady, Refused, ServiceError
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.deltas import follower as follower_module
from impressions.deltas.follower import Follower, restore_partition
from impressions.deltas.process import follow
from impressions.deltas.store import open_primary, open_secondary, store_dir
from impressions.formats import heartbeat
from impressions.formats.delta_block import key
from impressions.kafka import topics
from impressions.kafka.admin import connect
from tests.broker import stream_settings
from tests.deltas.follow import (
    EVENT,
    NOW_MS,
    PROFILE,
    SLOT_MS,
    Together,
    block,
    follow_until,
    restored,
    through_of,
)
from tests.deltas.support import Publisher, beat_of
from tests.fixed_clock import FixedClock
from tests.serving.support import until

pytestmark = pytest.mark.kafka


def test_what_was_published_is_in_the_store_and_then_whatever_comes(
    settings, stream, store, follower
):
    """Restored first, then followed; every partition, with the heartbeats after the blocks."""
    slots = [NOW_MS, NOW_MS + SLOT_MS]
    applied = [(p, {**EVENT, "event_ms": at}, at) for p in range(1, 21) for at in slots]
    stream.events(applied, offset=5)
    stream.beat(NOW_MS + 2 * SLOT_MS)
    restored(follower)
    assert {shard_of(p, 2) for p in range(1, 21)} == {0, 1}
    assert all(len(store.blocks(p)) == 2 for p in range(1, 21))
    assert all(store.state(p).restoring is False for p in (0, 1))
    stream.events([(PROFILE, EVENT, NOW_MS + 2 * SLOT_MS)], offset=6)
    stream.beat(NOW_MS + 3 * SLOT_MS)
    follow_until(
        follower,
        lambda: {through_of(store, p, settings) for p in (0, 1)} == {NOW_MS + 3 * SLOT_MS},
        "both heartbeats arrived",
    )
    assert len(store.blocks(PROFILE)) == 3


def test_the_end_of_a_partition_comes_after_its_records(
    settings, stream, store, follower, monkeypatch
):
    """The broker says where it ends together with the records before that. A process that dies
    while it writes them has not come to the end: the next one reads them again."""
    sent, partition, write = block(settings, offset=3), shard_of(PROFILE, 2), store.write
    stream.put(key(PROFILE, NOW_MS), sent)
    stream.beat(NOW_MS)
    together = Together(follower._consumer)
    monkeypatch.setattr(follower, "_consumer", together)

    def dying(puts, *more):
        if puts := list(puts):
            raise NotReady("the disk is full", reason="store")
        write(puts, *more)

    monkeypatch.setattr(store, "write", dying)
    with pytest.raises(NotReady, match="disk is full"):
        restored(follower)
    assert together.ends == {0, 1}
    assert (store.state(partition).next_offset, store.state(partition).restoring) == (0, True)
    monkeypatch.setattr(store, "write", write)
    with contextlib.closing(Follower(settings, store, (0, 1))) as heir:
        restored(heir)
    assert store.blocks(PROFILE) == [sent]


def test_an_older_block_never_replaces_a_newer_one(settings, stream, store, follower):
    """By (epoch, offset), in one batch as well as across two."""
    where, partition = key(PROFILE, NOW_MS), shard_of(PROFILE, 2)
    sent = {v: block(settings, offset=v[1], epoch=v[0]) for v in [(1, 9), (1, 7), (2, 0)]}
    sent["tombstone"] = None

    def arrived(*versions):
        for version in versions:
            stream.put(where, sent[version])
        stream.beat(NOW_MS)
        end = store.state(partition).next_offset + len(versions) + 1
        follow_until(follower, lambda: store.state(partition).next_offset == end, "it came")
        return store.get(where)

    restored(follower)
    assert arrived((1, 9), (1, 7)) == sent[1, 9]
    assert arrived((1, 7)) == sent[1, 9]
    assert arrived((2, 0), (1, 9)) == sent[2, 0]
    assert arrived("tombstone") is None
    assert arrived((1, 7)) == sent[1, 7], "after a tombstone nothing is held"
    assert arrived((1, 9), "tombstone", (1, 7)) == sent[1, 7]


def test_an_older_heartbeat_changes_nothing(settings, stream, store, follower):
    stream.beat(NOW_MS, offset=9)
    stream.beat(NOW_MS - 5000, offset=7)
    restored(follower)
    assert through_of(store, 0, settings) == NOW_MS


def test_a_copy_goes_on_where_it_was(settings, stream, store, tmp_path, caplog):
    """The second follower reads what the first had not."""
    stream.events([(PROFILE, EVENT, NOW_MS)])
    stream.beat(NOW_MS)
    for partition in (0, 1):
        restore_partition(settings, store, partition)
    ends = {p: store.state(p).next_offset for p in (0, 1)}
    stream.beat(NOW_MS + 1)
    restored(Follower(settings, store, (0, 1))).close()
    assert {p: store.state(p).next_offset - end for p, end in ends.items()} == {0: 1, 1: 1}


def test_expired_slots_are_left_out_and_dropped_and_the_state_says_so_first(tmp_path, broker):
    """keep_days before the heartbeat, at a slot's edge."""
    settings = stream_settings(
        tmp_path, broker, partitions=1, slot_seconds=86_400, stream={"keep_days": 3}
    )
    stream, store = Publisher(settings), open_primary(tmp_path / "store")
    days, clock = [NOW_MS - d * DAY_MS for d in range(6)], FixedClock(NOW_MS + 10)
    stream.events([(PROFILE, EVENT, day_ms) for day_ms in days])
    stream.beat(NOW_MS - 2 * DAY_MS)
    follower = restored(Follower(settings, store, (0,), clock))
    follow_until(follower, lambda: len(store.blocks(PROFILE)) == 6, "all six are kept as yet")
    stream.beat(NOW_MS + 5)
    follow_until(follower, lambda: store.state(0).floor_ms == NOW_MS - 3 * DAY_MS, "the floor")
    stream.events([(2, EVENT, NOW_MS - 4 * DAY_MS), (2, EVENT, NOW_MS - 3 * DAY_MS)])
    follow_until(follower, lambda: store.blocks(2), "a block above the floor came")
    assert len(store.blocks(2)) == 1, "the expired one was left out"
    follower.close()
    restored(Follower(settings, store, (0,), clock)).close()  # a sweep first, then every slot
    assert store.blocks(PROFILE) == store.blocks(PROFILE, NOW_MS - 3 * DAY_MS)
    assert len(store.blocks(PROFILE)) == 4
    store.close()


@pytest.mark.parametrize("ahead_days", [1, 30, 338, 3 * 365])
@pytest.mark.parametrize("whose", ["the stream's", "this host's"])
def test_one_clock_that_is_ahead_drops_nothing(tmp_path, broker, whose, ahead_days):
    """The floor lies keep_days before the smaller of what the stream says and the host's clock."""
    settings = stream_settings(
        tmp_path, broker, partitions=1, slot_seconds=86_400, stream={"keep_days": 3}
    )
    ahead_ms = ahead_days * DAY_MS
    says_ms = NOW_MS + 5 + (ahead_ms if whose == "the stream's" else 0)
    clock = FixedClock(NOW_MS + 5 + (ahead_ms if whose == "this host's" else 0))
    stream, store = Publisher(settings), open_primary(tmp_path / "store")
    stream.events([(PROFILE, EVENT, NOW_MS - day * DAY_MS) for day in range(4)])
    stream.beat(says_ms)
    follower = restored(Follower(settings, store, (0,), clock))
    follow_until(follower, lambda: through_of(store, 0, settings) == says_ms, "the heartbeat")
    assert store.state(0).floor_ms == NOW_MS - 3 * DAY_MS
    assert len(store.blocks(PROFILE)) == 4
    follower.close()
    store.close()


def test_a_copy_that_has_dropped_slots_too_early_is_made_again(tmp_path, broker):
    """Both clocks were ahead once; now the floor lies in this host's future, and it reads the
    topic from its first record."""
    settings = stream_settings(
        tmp_path, broker, partitions=1, slot_seconds=86_400, stream={"keep_days": 3}
    )
    clock = FixedClock(NOW_MS + 30 * DAY_MS)
    stream, store = Publisher(settings), open_primary(tmp_path / "store")
    stream.events([(PROFILE, EVENT, NOW_MS - day * DAY_MS) for day in range(3)])
    stream.beat(clock())
    restored(Follower(settings, store, (0,), clock)).close()
    restored(Follower(settings, store, (0,), clock)).close()  # a sweep drops all
    assert store.blocks(PROFILE) == []
    stream.beat(NOW_MS + 5)
    clock.at_ms = NOW_MS + 6
    follower = restored(Follower(settings, store, (0,), clock))
    follow_until(follower, lambda: through_of(store, 0, settings) == NOW_MS + 5, "the heartbeat")
    assert len(store.blocks(PROFILE)) == 3
    assert store.state(0).floor_ms == NOW_MS - 3 * DAY_MS
    follower.close()
    store.close()


def test_a_value_that_is_no_block_is_kept_for_its_readers_to_see(settings, stream, store, follower):
    """They get an error, never a number; a good block replaces it; other records go on."""
    where = key(PROFILE, NOW_MS)
    stream.put(where, b"junk")
    stream.raw(0, b"no key of ours", b"x")
    stream.beat(NOW_MS)
    restored(follower)
    assert store.get(where) == b"junk"
    good = block(settings, offset=0)
    stream.put(where, good)
    stream.beat(NOW_MS + 1)
    follow_until(follower, lambda: store.get(where) == good, "the good block")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"partitions": 3}, "partitions"), ({"partition": 1}, "partitions"), (None, "spec")],
)
def test_a_stream_of_another_kind_is_refused(settings, stream, store, follower, changed, reason):
    """Another P, another partition's heartbeat, another spec."""
    other = settings.model_copy(update={"slot_seconds": 3600}) if changed is None else settings
    value = beat_of(other, 0, NOW_MS)
    if changed is not None:
        fields = {"partition": 0, "partitions": 2, **changed}
        beat = heartbeat.decode(value, settings.spec)
        beat = type(beat)(**{**vars(beat), **fields})
        value = heartbeat.encode(beat, settings.spec)
    stream.raw(0, heartbeat.KEY, value)
    stream.beat(NOW_MS, partitions=[1])
    with pytest.raises(Refused) as caught:
        restored(follower)
    assert caught.value.reason == reason


def test_a_topic_with_another_number_of_partitions_is_refused(settings, store):
    wrong = settings.model_copy(update={"partitions": 4})
    follower = Follower(wrong, store, (3,))
    with pytest.raises(Refused, match="2 partitions, expected 4"):
        restored(follower)
    follower.close()


def test_a_topic_made_again_empties_the_copy(settings, stream, store, tmp_path):
    """Blocks of the old topic are gone; those of the new one are there, and the other partition's
    rows of a store that holds both are untouched until it is restored itself."""
    profiles = range(1, 11)
    stream.events([(p, EVENT, NOW_MS) for p in profiles])
    stream.beat(NOW_MS)
    restored(Follower(settings, store, (0, 1))).close()
    old_id = store.state(0).topic_id
    make_again(settings)
    again = Publisher(settings)
    again.events([(1, EVENT, NOW_MS)])
    again.beat(NOW_MS + 1)
    mine = shard_of(1, 2)
    restore_partition(settings, store, mine)
    kept = {p for p in profiles if store.blocks(p)}
    assert kept == {1} | {p for p in profiles if shard_of(p, 2) != mine}
    restore_partition(settings, store, 1 - mine)
    assert {p for p in profiles if store.blocks(p)} == {1}
    assert store.state(mine).topic_id != old_id
    assert through_of(store, mine, settings) == NOW_MS + 1


def test_a_topic_made_again_under_a_running_follower_is_followed(
    settings, stream, store, follower, monkeypatch
):
    """It asks for the topic's id now and then."""
    monkeypatch.setattr(follower_module, "_ASK_S", 0.2)
    stream.events([(p, EVENT, NOW_MS) for p in range(1, 11)])
    stream.beat(NOW_MS + 10)
    restored(follower)
    make_again(settings)
    again = Publisher(settings)
    again.events([(1, EVENT, NOW_MS)])
    again.beat(NOW_MS + 1)
    follow_until(
        follower,
        lambda: {through_of(store, p, settings) for p in (0, 1)} == {NOW_MS + 1},
        "the new topic's heartbeats",
    )
    assert {p for p in range(1, 11) if store.blocks(p)} == {1}
    follow_until(follower, lambda: not follower.restoring, "it knows that it has all")


def test_silence_is_the_end_of_a_restore_only_where_nothing_is_left(
    settings, stream, store, follower, monkeypatch
):
    """A broker may be slow, too: what another client still sees is waited for."""
    monkeypatch.setattr(follower_module, "IDLE_S", 0.3)
    stream.events([(p, EVENT, NOW_MS) for p in range(1, 21)], offset=5)
    stream.beat(NOW_MS + SLOT_MS)
    both = [TopicPartition(settings.kafka.deltas_topic, p) for p in (0, 1)]
    begin, asked = follower._begin, []
    monkeypatch.setattr(
        follower, "_begin", lambda topic: (begin(topic), follower._consumer.pause(both))
    )
    nothing_left = follower._nothing_left
    monkeypatch.setattr(follower, "_nothing_left", lambda p: (asked.append(p), nothing_left(p))[1])
    follow_until(follower, lambda: {0, 1} <= set(asked), "silence in both partitions")
    follower.poll(0.05)
    assert follower.restoring
    follower._consumer.resume(both)
    restored(follower)
    assert all(len(store.blocks(p)) == 1 for p in range(1, 21))


def test_a_consumer_that_stands_still_while_the_topic_goes_on_ends_the_follower(
    settings, stream, store, follower, monkeypatch
):
    """librdkafka can lose a partition's leader for good; another client sees what this one misses.

    A topic that is quiet ends nothing."""
    monkeypatch.setattr(follower_module, "STALLED_S", 0.5)
    stream.beat(NOW_MS)
    restored(follower)
    quiet = time.monotonic() + 1.2
    while time.monotonic() < quiet:
        follower.poll(0.1)
    paused = [TopicPartition(settings.kafka.deltas_topic, p) for p in (0, 1)]
    follower._consumer.pause(paused)
    stream.beat(NOW_MS + SLOT_MS)
    with pytest.raises(ServiceError, match="nothing came for"):
        follow_until(follower, lambda: False, "it ended")
    assert {through_of(store, p, settings) for p in (0, 1)} == {NOW_MS}


def test_a_damaged_copy_is_made_again_from_the_topic(settings, stream):
    """One byte flipped in the store; the next follower's pass over expired slots meets it."""
    stream.events([(p, EVENT, NOW_MS) for p in range(1, 201)])
    stream.beat(NOW_MS)
    with following(settings):
        until(lambda: through_on_disk(settings) == {NOW_MS}, "the copy is there")
    open_primary(store_dir(settings)).close()  # its write-ahead log becomes a file
    file = max(store_dir(settings).glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[64] ^= 0x40  # in the first block of rows
    file.write_bytes(data)
    damaged = open_primary(store_dir(settings))
    with pytest.raises(CorruptData):
        list(damaged.scan())
    damaged.close()
    with following(settings):
        until(lambda: not file.exists(), "the damaged copy is gone")
        until(lambda: through_on_disk(settings) == {NOW_MS}, "another is there")
    made = open_primary(store_dir(settings))
    assert len(list(made.scan())) == 200
    made.close()
    assert [path.name for path in settings.deltas_dir.iterdir()] == ["store"]


@contextlib.contextmanager
def following(settings):
    """The loop of the follower's process."""
    stopping = threading.Event()
    thread = threading.Thread(target=follow, args=(settings, stopping, "127.0.0.1:0"))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)
        assert not thread.is_alive()


def through_on_disk(settings):
    """What a reader beside the follower sees: through when each partition is complete."""
    try:
        reader = open_secondary(store_dir(settings), settings.home / "reader")
    except NotReady:
        return set()
    with contextlib.closing(reader):
        reader.catch_up()
        return {through_of(reader, p, settings) for p in range(settings.partitions)}


def make_again(settings):
    """Delete the delta topic and create it."""
    with connect(settings) as admin:
        (gone,) = admin.client.delete_topics([settings.kafka.deltas_topic]).values()
        gone.result(20)
        until(lambda: settings.kafka.deltas_topic not in admin.names(), "the topic is gone")
    topics.create(settings)
