"""The partitions of this worker, and the one order in which anything is said of one of them.

    published     to the delta topic, a heartbeat last; the broker has confirmed
    the guard     learns which offsets are this worker's own
    the store     keeps it, in one write

The loop that applies records (speed/worker.py) and what runs beside it (speed/idle_heartbeats.py,
speed/truncation.py, speed/foreign_records.py) take `busy` for every step: a partition has one step at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from impressions.clock import Clock
from impressions.formats import heartbeat
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.delta_reader import Foreign, Guard
from speed.metrics import Metrics
from speed.movement import Progress
from speed.partition import Partition
from speed.publisher import Offsets, Pair, Publisher


class Partitions:
    """What a worker holds while it is a member of the group; made in its event loop.

    Attributes:
        open: the open partitions by number.
        busy: held by whoever changes one of them or publishes.
        foreign: records of the delta topic that this worker did not write, as they are found.
    """

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics):
        self.settings, self.clock, self.metrics = settings, clock, metrics
        self.open: dict[int, Partition] = {}
        self.busy = asyncio.Lock()
        self.publisher, self.progress = Publisher(settings), Progress()
        self.foreign: asyncio.Queue[Foreign] = asyncio.Queue()
        self.guard = Guard(settings, self._found)
        self._loop = asyncio.get_running_loop()

    def _found(self, foreign: Foreign) -> None:
        """Called in the guard's thread."""
        self._loop.call_soon_threadsafe(self.foreign.put_nowait, foreign)

    async def publish(
        self, partition: Partition, blocks: Iterable[Pair], beat: heartbeat.Heartbeat
    ) -> list[Offsets]:
        """Blocks and behind them the heartbeat that vouches for them; the offsets they got."""
        value = heartbeat.encode(beat, self.settings.spec)
        wrote = await self.publisher.publish(partition.number, blocks, (heartbeat.KEY, value))
        self.guard.wrote(partition.number, wrote)
        return wrote

    async def beat(self, partition: Partition, beat: heartbeat.Heartbeat) -> None:
        """Publish a heartbeat alone and keep it; its stamp also shows the broker's time."""
        partition.beat(beat, await self.publish(partition, (), beat))

    async def publish_again(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Put this worker's own record behind an older one of another writer."""
        wrote = await self.publisher.publish(partition.number, (), (key, value))
        self.guard.wrote(partition.number, wrote)
        partition.saw(wrote)
        self.metrics.republished()

    def note_loss(self, partition: Partition, first: int) -> None:
        """Where records before `first` are not there any more, go on there, and say so."""
        if first > partition.next_offset:
            log.warning(
                "records-lost",
                partition=partition.number,
                applied_through=partition.progress.offset,
                log_starts_at=first,
            )
            partition.lose_until(first, self.latest_ms(partition.number))

    def latest_ms(self, number: int) -> int:
        """The later of both clocks: what was lost is not older."""
        return max(self.clock(), self.publisher.times.now_ms(number) or 0)

    def close(self) -> None:
        for partition in self.open.values():
            partition.close()
        self.open.clear()
