"""Whether the source was cut and filled again while this worker ran.

A broker that comes up with less than it had acknowledged (an unclean election) goes on at an older
offset. Once it has filled up again, the worker's next offset is there, and names another record.
Each change of leader has a number, the leader epoch. Where it has changed since the last look, the
last record of every flush since the look before is read again: one of them was applied before the
cut and lies behind it. Then the worker ends, and leaves a heartbeat for which the next start ends
as well: no record of the other log is applied.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from impressions.core.errors import ServiceError
from impressions.kafka import last_record
from impressions.kafka.admin import connect
from impressions.kafka.last_record import LastRecord, first_changed
from impressions.kafka.offsets import once_elected
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.assignment import Partitions

_EVERY_S = 5.0
_REMEMBERED = 1_000
_NO_EPOCH = -1


class Cuts:
    """Remembers what was applied since the last look; `look` blocks, the others do not."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._applied: dict[int, deque[LastRecord]] = {}
        self._epochs: dict[int, int] = {}

    def applied(self, partition: int, last: LastRecord) -> None:
        """A flush ended with this record."""
        if partition in self._applied:
            self._applied[partition].append(last)

    def watch(self, lasts: Mapping[int, LastRecord], epochs: Mapping[int, int]) -> None:
        """From now on look at exactly these partitions.

        Args:
            lasts: their last records; that of a new one was compared just now.
            epochs: their leader epochs, asked before that.
        """
        for partition in self._applied.keys() - lasts.keys():
            del self._applied[partition]
        for partition in lasts.keys() - self._applied.keys():
            self._applied[partition] = deque([lasts[partition]], _REMEMBERED)
            self._epochs[partition] = epochs.get(partition, _NO_EPOCH)

    def look(self, stop: threading.Event) -> tuple[int, LastRecord] | None:
        """A partition and a record of it that is another one now; None where there is none.

        Raises:
            ServiceError: the broker does not answer.
        """
        # Copied at once: the worker's loop goes on meanwhile.
        before = {p: list(applied) for p, applied in list(self._applied.items())}
        for partition, epoch in leader_epochs(self._settings, before).items():
            lasts = before[partition]
            if self._epochs.get(partition) != epoch:
                topic = self._settings.kafka.topic
                changed = first_changed(self._settings, topic, partition, lasts, stop)
                if changed is not None:
                    return partition, changed
            if stop.is_set():
                return None
            self._epochs[partition] = epoch
            self._forget(partition, len(lasts) - 1)
        return None

    def _forget(self, partition: int, count: int) -> None:
        """The oldest ones: no leader has changed since."""
        applied = self._applied.get(partition, deque())
        for _ in range(min(count, len(applied) - 1)):
            applied.popleft()


async def look_on(cuts: Cuts, partitions: Partitions, stop: threading.Event) -> None:
    """Look every few seconds, for ever.

    Raises:
        Refused: the source is not the log any more that was applied.
    """
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            found = await asyncio.to_thread(cuts.look, stop)
        except ServiceError as error:
            log.once("broker-away", because=error)
            continue
        partition = None if found is None else partitions.open.get(found[0])
        if found is None or partition is None:
            continue
        last = found[1]
        async with partitions.busy:
            beat = partition.progress
            # It keeps what was there, so that the next start refuses as well.
            await partitions.beat(
                partition, replace(beat, last_offset=last.offset, last_digest=last.digest)
            )
        topic = partitions.settings.kafka.topic
        raise last_record.refused(topic, partition.number, last, beat.epoch)


def leader_epochs(settings: Settings, partitions: Iterable[int]) -> dict[int, int]:
    """The leader epoch of each partition of the source, asked now; -1 where the broker says none.

    Raises:
        ServiceError: it does not answer.
    """
    topic = settings.kafka.topic
    asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in partitions}
    if not asked:
        return {}
    with connect(settings) as admin:

        def ask() -> dict[int, Any]:
            futures = admin.client.list_offsets(asked, request_timeout=admin.timeout_s)
            return {at.partition: future.result() for at, future in futures.items()}

        found = once_elected(ask)
    return {p: _NO_EPOCH if x.leader_epoch is None else x.leader_epoch for p, x in found.items()}
