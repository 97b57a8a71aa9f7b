"""What a live stream should answer, and what it does: the oracle's logs from the topic itself.

The source topic holds what was sent with the broker's times; read back in plain Python it is the
oracle's input. A copy of the delta topic in a fresh store is what any serving host would hold.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, TopicPartition

from impressions.core.merge import merge
from impressions.deltas.follower import Follower, restore_partition
from impressions.deltas.store import DeltaStore, PartitionState, open_primary
from impressions.formats import delta_block, heartbeat
from impressions.kafka import client
from impressions.settings.model import Settings
from impressions.v1.impression_record_pb2 import ImpressionRecord
from oracle import naive
from tests import patience
from tests.compare import as_dict, differences
from tests.tolerance import FLOAT64


def until(condition: Callable[[], object], what: str, deadline_s: float = 30) -> object:
    """Wait for a condition; says what did not come true. The deadline: see tests/patience.py."""
    deadline_s *= patience.FACTOR
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)
    return found


def everything_sent(settings: Settings) -> list[tuple]:
    """The oracle's logs, partition by partition: (profile, log_id, ingest_ms, events)."""
    sent, newest_ms = [], dict.fromkeys(range(settings.partitions), 0)
    for message in messages_of(settings, settings.kafka.topic):
        partition, append_ms = message.partition(), message.timestamp()[1]
        newest_ms[partition] = max(newest_ms[partition], append_ms)
        for log in ImpressionRecord.FromString(message.value()).logs:
            sent.append((log.profile_id, log.log_id, newest_ms[partition], events_of(log)))
    return sent


def last_values(settings: Settings) -> dict[bytes, bytes]:
    """The last value of each key of the delta topic; heartbeats of all partitions share a key."""
    return {m.key(): m.value() for m in messages_of(settings, settings.kafka.deltas_topic)}


def unapplied(settings: Settings) -> int:
    """Records of the source that no heartbeat stands behind."""
    ends, applied = source_ends(settings), dict.fromkeys(range(settings.partitions), -1)
    for message in messages_of(settings, settings.kafka.deltas_topic):
        if message.key() == heartbeat.KEY:
            beat = heartbeat.decode(message.value(), settings.spec)
            applied[message.partition()] = beat.offset
    return sum(ends[partition] - 1 - offset for partition, offset in applied.items())


def messages_of(settings: Settings, topic: str) -> Iterator:
    """Every message that a topic holds now, partition by partition."""
    consumer = _reader(settings, enable_partition_eof=True)
    try:
        for partition in range(settings.partitions):
            at = TopicPartition(topic, partition)
            first, end = consumer.get_watermark_offsets(at, timeout=10)
            consumer.assign([TopicPartition(topic, partition, first)])
            offset = first
            while offset < end:
                message = consumer.poll(10)
                assert message is not None, "the broker stopped answering"
                if message.error() is not None:
                    # The last offsets may be those of a transaction's marker, which nobody gets.
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    assert message.offset() >= end
                    break
                offset = message.offset() + 1
                yield message
    finally:
        consumer.close()


def _reader(settings: Settings, **more) -> Consumer:
    """Sees what the product sees: records of open and of aborted transactions, too."""
    options = {"group_id": "oracle", "enable_auto_commit": False, **more}
    return Consumer(client.librdkafka(settings, isolation_level="read_uncommitted", **options))


def events_of(log) -> list[dict]:
    columns = (log.title_ids, log.locations, log.event_time_ms, log.played, log.dwell_s)
    names = ("title", "location", "event_ms", "played", "dwell_s")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def source_ends(settings: Settings) -> dict[int, int]:
    """Offset behind the last record of each partition of the source."""
    consumer = _reader(settings)
    ends = {
        p: consumer.get_watermark_offsets(TopicPartition(settings.kafka.topic, p), timeout=10)[1]
        for p in range(settings.partitions)
    }
    consumer.close()
    return ends


def copy_of_deltas(settings: Settings, path) -> DeltaStore:
    """A fresh copy of the delta topic, as a new serving host would make it."""
    store = open_primary(path)
    for partition in range(settings.partitions):
        restore_partition(settings, store, partition)
    return store


def assert_stream_is_exact(settings: Settings, store: DeltaStore, query_ms: int) -> int:
    """Every pair of every profile that was sent; returns how many were compared."""
    spec = settings.spec
    applied, _ = naive.accept(everything_sent(settings), spec.slot_ms)
    expected = naive.answers(applied, query_ms)
    found = stream_rows(settings, store, {profile for profile, _, _ in applied}, query_ms)
    assert differences(found, expected, FLOAT64) == []
    return len(expected)


def stream_rows(
    settings: Settings, store: DeltaStore, profiles: Iterable[int], query_ms: int
) -> dict:
    """What the stream alone says of these profiles, in the form of oracle/naive.py `answers`."""
    spec, rows = settings.spec, {}
    for profile in profiles:
        blocks = [delta_block.decode(data, spec) for data in store.blocks(profile)]
        rows |= as_dict(profile, merge(query_ms, None, None, blocks, spec), spec)
    return rows


def caught_up(settings: Settings, tmp_path: Path) -> DeltaStore:
    """Wait until heartbeats stand behind every record sent; returns a fresh copy of the deltas."""
    ends = source_ends(settings)
    store = open_primary(tmp_path / f"copy-{time.monotonic_ns()}")
    follower = Follower(settings, store, tuple(ends))

    def copied() -> bool:
        follower.poll(0.05)
        return not follower.restoring and all(
            ends[p] == 0 or offset_of(settings, store.state(p)) >= ends[p] - 1 for p in ends
        )

    try:
        until(copied, "the worker has published everything that was sent", 60)
    except BaseException:
        store.close()
        raise
    finally:
        follower.close()
    return store


def offset_of(settings: Settings, state: PartitionState | None) -> int:
    """The source offset that a copy's heartbeat stands behind; -1 before the first heartbeat."""
    if state is None or state.heartbeat is None:
        return -1
    return heartbeat.decode(state.heartbeat, settings.spec).offset
