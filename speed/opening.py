"""Opening a partition: restored from the delta topic, then with the place where the source goes on.

Also the two topics' identities, which offsets are worth nothing without: a topic that is deleted
and made again has the same name and begins at 0.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from impressions.clock import Clock, monotonic_s
from impressions.core.errors import CorruptData, NotReady, Refused
from impressions.deltas.follower import restore_partition
from impressions.deltas.store import DeltaStore, open_primary
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka import broker_clock, last_record, offsets
from impressions.kafka.admin import connect
from impressions.kafka.last_record import Found, LastRecord
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.partition import Partition, state_of, state_path

Identities = tuple[bytes, bytes]
"""Kafka's ids of the source topic and of the delta topic, 16 bytes each."""


def open_partition(
    settings: Settings,
    directory: Path,
    number: int,
    source_id: bytes,
    clock: Clock,
    stop: threading.Event,
    moved: Callable[[], None],
) -> Partition:
    """A partition that is ready to go on; blocking, until it is restored or `stop` is set.

    Args:
        moved: called whenever the restore has come further.

    Raises:
        NotReady: stopped.
        Refused: see `state_of`, `check_same_log`, and impressions/deltas/follower.py.
    """
    started_s, topic = monotonic_s(), settings.kafka.topic
    store = open_copy(state_path(directory, number), number)
    try:
        restore_partition(settings, store, number, stop, moved, clock)
        held = store.state(number)
        assert held is not None, "a restored partition has a state"
        source = offsets.range_of(settings, topic, number)
        at_ms = clock()
        beat, lost = state_of(held, settings, number, source_id, source, at_ms)
        if beat.since_ms >= at_ms:  # the later of both clocks: what was lost is not older
            at_ms = max(at_ms, broker_clock.now_ms(settings))
            beat, lost = state_of(held, settings, number, source_id, source, at_ms)
        check_same_log(settings, beat)
    except BaseException:  # also a cancelled thread: the store is never left open
        store.close()
        raise
    if lost:
        log.warning("records-lost", partition=number, log_starts_at=source[0])
    log.info(
        "opened",
        partition=number,
        delta_offset=held.next_offset,
        source_offset=beat.offset,
        seconds=round(monotonic_s() - started_s, 2),
    )
    return Partition(settings, store, beat, lost, clock)


def check_same_log(settings: Settings, beat: Heartbeat) -> None:
    """Refuse a source that was cut before what was applied and filled again; blocking.

    Raises:
        Refused: reason "topic_cut".
        ServiceError: the broker does not answer.
    """
    topic, last = settings.kafka.topic, LastRecord(beat.last_offset, beat.last_digest)
    for partition, found in last_record.compare(settings, topic, {beat.partition: last}).items():
        if found is Found.OTHER:
            raise last_record.refused(topic, partition, last, beat.epoch)
        if found is Found.GONE:
            log.info("not-compared", partition=partition, gone=last.offset)


def open_copy(path: Path, number: int) -> DeltaStore:
    """The store of a partition. One that is damaged, or of another version, is thrown away: it
    holds nothing that the delta topic has not."""
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
