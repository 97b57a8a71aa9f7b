"""A worker that only publishes: delta blocks of raw events, and heartbeats.

stream = Publisher(settings)
stream.events(applied, offset=10)     one block per (profile, slot), through their bytes
stream.beat(through_ms=...)           a heartbeat in every partition, after the blocks
"""

from __future__ import annotations

from collections import defaultdict

from confluent_kafka import Producer

from impressions.core.shard import shard_of
from impressions.formats import delta_block, heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.kafka import client
from impressions.kafka.admin import connect
from tests.blocks import delta_block_of

SOURCE_ID = bytes(range(16))


def block_of(events, slot_ms, spec, *, epoch=1, offset=0) -> bytes:
    """The block of one profile's events of one slot."""
    return delta_block.encode(delta_block_of(events, slot_ms, epoch, offset), spec)


def blocks_of(applied, spec, *, epoch=1, offset=0) -> dict[bytes, bytes]:
    """{key: block} of (profile, event, ingest_ms)."""
    groups = defaultdict(list)
    for profile, event, ingest_ms in applied:
        groups[profile, ingest_ms // spec.slot_ms * spec.slot_ms].append(event)
    return {
        delta_block.key(profile, slot_ms): block_of(
            events, slot_ms, spec, epoch=epoch, offset=offset
        )
        for (profile, slot_ms), events in groups.items()
    }


def beat_of(settings, partition, through_ms, **fields) -> bytes:
    """The bytes of a heartbeat."""
    values = {
        "partition": partition,
        "partitions": settings.partitions,
        "epoch": 1,
        "topic_id": SOURCE_ID,
        "deltas_id": bytes(16),
        "offset": 0,
        "newest_ms": 0,
        "since_ms": FROM_THE_FIRST_MS,
        **fields,
    }
    return heartbeat.encode(Heartbeat(through_ms=through_ms, **values), settings.spec)


def deltas_id(settings) -> bytes:
    """Kafka's id of the delta topic as it is now."""
    name = settings.kafka.deltas_topic
    with connect(settings) as admin:
        return admin.identities([name])[name][0]


class Publisher:
    """Writes to the delta topic and waits for the broker."""

    def __init__(self, settings):
        self._settings = settings
        self._producer = Producer(client.librdkafka(settings, acks="all", linger_ms=1))
        self._failed: list[str] = []

    def events(self, applied, **version) -> None:
        for key, value in blocks_of(applied, self._settings.spec, **version).items():
            self.put(key, value)
        self._flush()

    def put(self, key, value) -> None:
        """Any bytes under any block's key; None is a tombstone."""
        partition = shard_of(int.from_bytes(key[:8], "big"), self._settings.partitions)
        self.raw(partition, key, value)

    def raw(self, partition, key, value) -> None:
        self._producer.produce(
            self._settings.kafka.deltas_topic,
            value,
            key,
            partition=partition,
            on_delivery=self._delivered,
        )
        self._producer.poll(0)

    def beat(self, through_ms, partitions=None, **fields) -> None:
        every = range(self._settings.partitions) if partitions is None else partitions
        fields.setdefault("deltas_id", deltas_id(self._settings))
        for partition in every:
            value = beat_of(self._settings, partition, through_ms, **fields)
            self.raw(partition, heartbeat.KEY, value)
        self._flush()

    def _flush(self) -> None:
        assert self._producer.flush(20) == 0
        assert self._failed == []

    def _delivered(self, error, message) -> None:
        if error is not None:
            self._failed.append(str(error))
