"""The owner follows its own partitions of the delta topic, so that nothing older stays newest.

A worker that was paused past its session and wakes may still send a block that it had under way. It
then stands behind the new owner's, and compaction would keep it. The owner reads its partitions
back (by offset ranges it knows which records are its own) and compares each foreign record:

    older than ours     ours is published again, behind it
    as new              a replay; nothing to do
    newer than ours     somebody else owns the partition: this worker must end

The reader is a thread with a consumer of its own; verdicts are made by the worker between flushes,
when its store and what it published agree.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from impressions.core.spec import Spec
from impressions.formats import delta_block, heartbeat
from impressions.kafka.client import reading
from impressions.settings.model import Settings
from impressions.terminal import log

_POLL_S = 0.2
_AT_ONCE = 2_000
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Foreign:
    """A record of the delta topic that this worker did not write."""

    partition: int
    offset: int
    key: bytes
    value: bytes


def version_of(key: bytes, value: bytes, spec: Spec) -> tuple[int, int]:
    """(epoch, source offset) of a record of the delta topic."""
    if key == heartbeat.KEY:
        beat = heartbeat.decode(value, spec)
        return beat.epoch, beat.offset
    head = delta_block.header(value, spec)
    return head.epoch, head.offset


class Guard:
    """Reads partitions of the delta topic; hands foreign records to `found`, in its thread."""

    def __init__(self, settings: Settings, found: Callable[[Foreign], None]):
        self._settings, self._found = settings, found
        self._lock = threading.Lock()
        self._watched: dict[int, int] = {}
        self._own: dict[int, list[tuple[int, int]]] = {}
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, starts: dict[int, int]) -> None:
        """Follow exactly these partitions, each from a delta offset."""
        with self._lock:
            self._watched = dict(starts)
            self._own = {partition: [] for partition in starts}
        self._changed.set()

    def wrote(self, partition: int, ranges: Iterable[tuple[int, int]]) -> None:
        """These [start, end) of the delta topic are this worker's, later than those before."""
        with self._lock:
            own = self._own.setdefault(partition, [])
            own.extend(ranges)
            if len(own) > _REMEMBERED:
                del own[: _REMEMBERED // 2]

    def is_own(self, partition: int, offset: int) -> bool:
        """Whether this worker wrote that record. Right once the flush it belongs to is over; the
        reader may see a record before the worker has heard that it is written."""
        with self._lock:
            own = self._own.get(partition, [])
            at = bisect_right(own, offset, key=lambda written: written[0]) - 1
            return at >= 0 and offset < own[at][1]

    def _run(self) -> None:
        settings = self._settings
        consumer = Consumer(reading(settings, auto_offset_reset="latest"))
        topic = settings.kafka.deltas_topic
        try:
            while not self._stopping.is_set():
                if self._changed.is_set():
                    self._changed.clear()
                    with self._lock:
                        starts = [TopicPartition(topic, p, at) for p, at in self._watched.items()]
                    consumer.assign(starts)
                for message in consumer.consume(_AT_ONCE, _POLL_S):
                    self._look(message)
        finally:
            consumer.close()

    def _look(self, message: Any) -> None:
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                log.once("guard", error=message.error())
            return
        partition, offset, key = message.partition(), message.offset(), message.key()
        if not self.is_own(partition, offset) and key and message.value():
            self._found(Foreign(partition, offset, key, message.value()))
