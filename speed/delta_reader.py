"""The owner reads its own partitions of the delta topic back, to see what others wrote there.

A worker that was paused past its session and wakes may still send a block that it had under way.
That block comes after the new owner's, and compaction would keep it. So the owner reads its
partitions and hands every record that it did not write to speed/foreign_records.py.

The reader is a thread with a consumer of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from impressions.kafka.client import reading
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.partitions.partition import Partition

_POLL_S = 0.2
_AT_ONCE = 2_000


@dataclass(frozen=True)
class ForeignRecord:
    """A record of the delta topic that this worker did not write."""

    partition: int
    offset: int
    key: bytes
    value: bytes


class DeltaReader:
    """Follows partitions of the delta topic.

    Args:
        opened: the open partitions by number; others are passed over.
        on_foreign: gets foreign records as they are read, some together, in the reader's thread.
    """

    def __init__(
        self,
        settings: Settings,
        opened: Mapping[int, Partition],
        on_foreign: Callable[[Sequence[ForeignRecord]], None],
    ):
        self._settings, self._opened, self._on_foreign = settings, opened, on_foreign
        self._starts: list[TopicPartition] = []
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="delta-reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self) -> None:
        """From now on follow the partitions that are open, each from what its store may lack."""
        topic, partitions = self._settings.kafka.deltas_topic, list(self._opened.values())
        for partition in partitions:
            partition.own_records.clear()
        self._starts = [TopicPartition(topic, p.number, p.next_delta_offset) for p in partitions]
        self._changed.set()

    def _run(self) -> None:
        consumer = Consumer(reading(self._settings, auto_offset_reset="latest"))
        try:
            while not self._stopping.is_set():
                if self._changed.is_set():
                    self._changed.clear()
                    consumer.assign(self._starts)
                messages = consumer.consume(_AT_ONCE, _POLL_S)
                if foreign := [found for m in messages if (found := self._foreign(m))]:
                    self._on_foreign(foreign)
        finally:
            consumer.close()

    def _foreign(self, message: Any) -> ForeignRecord | None:
        """A record of another writer; None for all that this worker wrote."""
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                log.once("guard", error=message.error())
            return None
        number, offset = message.partition(), message.offset()
        partition = self._opened.get(number)
        if partition is None or offset in partition.own_records:  # as nearly always
            return None
        key, value = message.key(), message.value()
        return ForeignRecord(number, offset, key, value) if key and value else None
