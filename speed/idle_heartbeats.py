"""Heartbeats of partitions without traffic: through when they are whole.

A partition that has records says so with every flush. One that has none is asked every
`speed.heartbeat_s`: where its log ends, and whether anything lies before that. Where nothing does,
it is whole through what both clocks showed before the log was asked (speed/complete_through.py), unless the
broker has records that it does not show yet (impressions/kafka/unreplicated.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError
from impressions.kafka import offsets
from impressions.kafka.admin import silent_logger
from impressions.kafka.client import librdkafka
from impressions.kafka.unreplicated import with_unseen
from speed.assignment import Partitions
from speed.complete_through import drained_through_ms
from speed.engine import Engine
from speed.partition import Partition, check_not_cut

_SILENCE_S = 3.0
_ANSWER_S = 2.0


class Beats:
    """Looks at every open partition in turn; `run` goes on for ever or raises."""

    def __init__(self, partitions: Partitions, engine: Engine):
        self._partitions, self._engine = partitions, engine
        self._silent: dict[int, tuple[int, float]] = {}
        """Per partition the next offset that has not come, and since when it is waited for."""

    async def run(self) -> None:
        """Raises:
        Refused: a source's log ends before what was applied of it.
        """
        partitions = self._partitions
        while True:
            await asyncio.sleep(partitions.settings.speed.heartbeat_s)
            # Both clocks before the log: what is older than they show is before an end, or unseen.
            own_ms, times = partitions.clock(), partitions.publisher.times
            broker_ms = {number: times.now_ms(number) for number in partitions.open}
            if broker_ms:
                unseen = await asyncio.to_thread(self._unseen, sorted(broker_ms))
                async with partitions.busy:
                    await self._look_at_all(own_ms, broker_ms, unseen)

    def _unseen(self, numbers: Collection[int]) -> frozenset[int]:
        """Blocks. Partitions of which not all is shown; all of them where the broker is away."""
        topic = self._partitions.settings.kafka.topic
        try:
            return with_unseen(self._admin, topic, numbers, _ANSWER_S)
        except KafkaException:
            return frozenset(numbers)

    @cached_property
    def _admin(self) -> AdminClient:
        settings = self._partitions.settings
        return AdminClient({**librdkafka(settings), "logger": silent_logger()})

    async def _look_at_all(
        self, own_ms: int, broker_ms: Mapping[int, int | None], unseen: Collection[int]
    ) -> None:
        """At those that were open when the clocks were read, and are."""
        opened = self._partitions.open
        numbers = sorted(opened.keys() & broker_ms.keys())
        if not numbers:
            return
        ends = await self._engine.end_offsets(numbers)
        looks = [
            self._look(opened[n], end, own_ms, broker_ms[n], n in unseen) for n, end in ends.items()
        ]
        await asyncio.gather(*looks)

    async def _look(
        self, partition: Partition, end: int, own_ms: int, broker_ms: int | None, unseen: bool
    ) -> None:
        """`end` was asked after both clocks were read, and after whether anything is `unseen`;
        `broker_ms`: None where it is not known."""
        partitions = self._partitions
        partitions.metrics.seen(partition.number, partition.progress, end, partitions.clock())
        check_not_cut(partition.progress, end)
        if partition.next_offset < end and not await self._has_nothing(partition, end):
            return
        partitions.progress.moved(partition.number)
        if unseen:
            return
        beat = partition.progress
        margin_ms = round(partitions.settings.speed.clock_margin_s * 1000)
        through_ms = drained_through_ms(
            beat.through_ms, beat.newest_ms, own_ms, broker_ms, margin_ms
        )
        # One that says nothing new is sent only to learn the broker's time from its stamp.
        if through_ms != beat.through_ms or broker_ms is None:
            offset = max(beat.offset, end - 1)
            await partitions.beat(partition, replace(beat, through_ms=through_ms, offset=offset))

    async def _has_nothing(self, partition: Partition, end: int) -> bool:
        """Whether no record lies before `end`: a log may end with the marker of a transaction,
        which nobody is given, or have lost everything. Asked where nothing has come for a while."""
        number, at = partition.number, partition.next_offset
        silent_at, since_s = self._silent.get(number, (-1, 0.0))
        if silent_at == at and monotonic_s() - since_s < _SILENCE_S:
            return False
        self._silent[number] = (at, monotonic_s())
        if silent_at != at:
            return False
        try:
            first = await self._engine.first_offset(number)
        except ServiceError:
            return False  # asked again soon
        self._partitions.note_loss(partition, min(first, end))
        settings = self._partitions.settings
        return await asyncio.to_thread(
            offsets.is_empty, settings, settings.kafka.topic, number, partition.next_offset, end
        )
