"""Opening a partition: restored from the delta topic, then with the offset where it goes on.

A lost or stale directory costs time and nothing else. Also the two topics' identities: a topic that
is deleted and made again has the same name and begins at 0, so offsets mean nothing without them.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from impressions.clock import Clock, monotonic_s
from impressions.core.errors import CorruptData, NotReady, Refused
from impressions.deltas.follower import restore_partition
from impressions.deltas.store import DeltaStore, open_primary
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka import broker_clock, last_record, offsets
from impressions.kafka.admin import connect
from impressions.kafka.last_record import Comparison, LastRecord
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.partitions.movement import Movement
from speed.partitions.partition import Partition
from speed.partitions.starting_point import starting_point

Identities = tuple[bytes, bytes]
"""Kafka's ids of the source topic and of the delta topic, 16 bytes each."""


def partition_path(directory: Path, partition: int) -> Path:
    """Where a worker keeps one partition."""
    return directory / f"partition={partition}"


def open_partition(
    settings: Settings,
    directory: Path,
    number: int,
    source_id: bytes,
    clock: Clock,
    stop: threading.Event,
    movement: Movement,
) -> Partition:
    """A partition that is ready to go on; blocking, until it is restored or `stop` is set.

    Args:
        movement: moves whenever the restore has come further; the partition keeps it.

    Raises:
        NotReady: stopped.
        Refused: see `starting_point`, `check_not_truncated`, and impressions/deltas/follower.py.
    """
    started_s, topic = monotonic_s(), settings.kafka.topic
    store = open_copy(partition_path(directory, number), number)
    try:
        restore_partition(settings, store, number, stop, movement.moved, clock)
        held = store.state(number)
        assert held is not None, "a restored partition has a state"
        source = offsets.range_of(settings, topic, number)
        at_ms = clock()
        start, lost = starting_point(held, settings, number, source_id, source, at_ms)
        if start.since_ms >= at_ms:  # by the later of both clocks: what was lost is not newer
            at_ms = max(at_ms, broker_clock.now_ms(settings))
            start, lost = starting_point(held, settings, number, source_id, source, at_ms)
        check_not_truncated(settings, start)
    except BaseException:  # also a cancelled thread: the store is never left open
        store.close()
        raise
    if lost:
        log.warning("records-lost", partition=number, log_starts_at=source[0])
    log.info(
        "opened",
        partition=number,
        delta_offset=held.next_offset,
        source_offset=start.offset,
        seconds=round(monotonic_s() - started_s, 2),
    )
    return Partition(settings, store, start, lost, clock, movement)


def check_not_truncated(settings: Settings, applied: Heartbeat) -> None:
    """Refuse a source that was truncated before what was applied and filled again; blocking.

    Raises:
        Refused: reason "topic_cut".
        ServiceError: the broker does not answer.
    """
    topic, last = settings.kafka.topic, LastRecord(applied.last_offset, applied.last_digest)
    now = last_record.compare(settings, topic, {applied.partition: last})
    for partition, comparison in now.items():
        if comparison is Comparison.OTHER:
            raise last_record.refused(topic, partition, last, applied.epoch)
        if comparison is Comparison.GONE:
            log.info("not-compared", partition=partition, gone=last.offset)


def open_copy(path: Path, number: int) -> DeltaStore:
    """The store of a partition. One that is damaged, or of another version, is deleted: it holds
    nothing that the delta topic does not hold."""
    try:
        store = open_primary(path, logged=False)
        try:
            store.state(number)
        except CorruptData:
            store.close()
            raise
    except CorruptData as error:
        log.warning("copy-damaged", partition=number, because=error.message, cause=error.__cause__)
        shutil.rmtree(path)
        return open_primary(path, logged=False)
    return store


def identities(settings: Settings) -> Identities:
    """Asked of the broker now; blocking.

    Raises:
        NotReady: one of the topics does not exist.
        ServiceError: the broker does not answer.
    """
    names = (settings.kafka.topic, settings.kafka.deltas_topic)
    with connect(settings) as admin:
        found = admin.identities(names)
    for name in names:
        if name not in found:
            raise NotReady(
                f"topic {name} does not exist", hint="impressions topics create", reason="no_topic"
            )
    return found[names[0]][0], found[names[1]][0]


def check_same(settings: Settings, before: Identities, now: Identities) -> None:
    """Refuse to go on with a topic that was made again."""
    for name, old, new in zip(
        (settings.kafka.topic, settings.kafka.deltas_topic), before, now, strict=True
    ):
        if old != new:
            raise Refused(
                f"topic {name} was recreated while this worker ran: its id was {old.hex()}, "
                f"now it is {new.hex()}",
                hint="start the worker again; it says what else is needed",
                reason="topic_recreated",
            )
