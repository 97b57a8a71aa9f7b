"""Heartbeats of partitions without traffic: through when they are complete.

The heartbeat of a partition that has records moves with every flush. For one that has none the
broker is asked every `speed.heartbeat_s`: where the partition ends, and whether any record lies
before that. If none does, the partition is complete through what both clocks showed before the
broker was asked (speed/applying/complete_through.py), unless the broker has records that it does
not show yet (impressions/kafka/unreplicated.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from impressions.core.errors import ServiceError
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka import offsets
from impressions.kafka.admin import silent_logger
from impressions.kafka.client import librdkafka
from impressions.kafka.unreplicated import with_unreplicated
from speed.applying.complete_through import drained_through_ms
from speed.assignment import Assignment
from speed.engine import Engine
from speed.partitions.partition import Partition
from speed.partitions.starting_point import check_not_shorter

_ANSWER_S = 2.0


class IdleHeartbeats:
    """Looks at every open partition in turn."""

    def __init__(self, assignment: Assignment, engine: Engine):
        self._assignment, self._engine = assignment, engine

    async def run(self) -> None:
        """Never returns.

        Raises:
            Refused: a partition of the source ends before what was applied of it.
        """
        assignment = self._assignment
        while True:
            await asyncio.sleep(assignment.settings.speed.heartbeat_s)
            # Both clocks before the broker: what is older than they show lies before the end, or
            # is not replicated yet.
            own_ms = assignment.clock()
            broker_ms = {n: p.leader_clock.now_ms() for n, p in assignment.open.items()}
            if broker_ms:
                hidden = await asyncio.to_thread(self._unreplicated, sorted(broker_ms))
                await self._look_at_all(own_ms, broker_ms, hidden)

    def _unreplicated(self, numbers: Collection[int]) -> frozenset[int]:
        """Blocks. The partitions with records that are not shown yet; all of them while the broker
        does not answer."""
        topic = self._assignment.settings.kafka.topic
        try:
            return with_unreplicated(self._admin, topic, numbers, _ANSWER_S)
        except KafkaException:
            return frozenset(numbers)

    @cached_property
    def _admin(self) -> AdminClient:
        settings = self._assignment.settings
        return AdminClient({**librdkafka(settings), "logger": silent_logger()})

    async def _look_at_all(
        self, own_ms: int, broker_ms: Mapping[int, int | None], hidden: Collection[int]
    ) -> None:
        """At those that were open when the clocks were read, and still are."""
        opened = self._assignment.open
        before = {n: opened[n] for n in sorted(opened.keys() & broker_ms.keys())}
        if not before:
            return
        applied = {n: partition.heartbeat for n, partition in before.items()}
        ends = await self._engine.end_offsets(list(before))  # flushes go on meanwhile
        async with self._assignment.busy:
            looks = [
                self._look(before[n], applied[n], end, own_ms, broker_ms[n], n in hidden)
                for n, end in ends.items()
                if opened.get(n) is before[n]
            ]
            await asyncio.gather(*looks)

    async def _look(
        self,
        partition: Partition,
        applied: Heartbeat,
        end: int,
        own_ms: int,
        broker_ms: int | None,
        hidden: bool,
    ) -> None:
        """
        Args:
            applied: the partition's heartbeat before its end was asked for.
            end: asked after both clocks were read, and after `hidden` was. More may be applied now.
            broker_ms: None if it is not known.
            hidden: the partition has records that are not shown yet.
        """
        assignment, metrics = self._assignment, self._assignment.metrics
        check_not_shorter(applied, end)
        end = max(end, partition.next_offset)
        metrics.seen(partition.number, partition.heartbeat, end, assignment.clock())
        if partition.next_offset < end and not await self._is_empty_before(partition, end):
            return
        partition.movement.moved()
        if hidden:
            return
        before = partition.heartbeat
        margin_ms = round(assignment.settings.speed.clock_margin_s * 1000)
        through_ms = drained_through_ms(
            before.through_ms, before.newest_ms, own_ms, broker_ms, margin_ms
        )
        # One that says nothing new is sent only to learn the broker's time from its stamp.
        if through_ms != before.through_ms or broker_ms is None:
            offset = max(before.offset, end - 1)
            after = replace(before, through_ms=through_ms, offset=offset)
            await assignment.publish_heartbeat(partition, after)

    async def _is_empty_before(self, partition: Partition, end: int) -> bool:
        """Whether no record lies between what was applied and `end`: a partition may end with the
        marker of a transaction, which no consumer gets, or have lost everything. The broker is
        asked only where nothing has come for a while."""
        if not partition.silence.is_long(partition.next_offset):
            return False
        try:
            first = await self._engine.first_offset(partition.number)
        except ServiceError:
            return False  # asked again soon
        partition.skip_lost(min(first, end))
        settings = self._assignment.settings
        return await asyncio.to_thread(
            offsets.is_empty,
            settings,
            settings.kafka.topic,
            partition.number,
            partition.next_offset,
            end,
        )
