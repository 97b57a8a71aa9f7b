"""The partitions assigned to this worker, and the one order in which anything is published of one.

    published     to the delta topic, a heartbeat last; the broker has confirmed
    own records   the partition learns which offsets are this worker's
    kept          in the partition's store, in one write

The loop that applies records (speed/worker.py) and what runs beside it (speed/idle_heartbeats.py,
speed/truncation.py, speed/foreign_records.py) take `busy` for every step, so a partition has one
step at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from impressions.clock import Clock
from impressions.formats import heartbeat as heartbeats
from impressions.formats.heartbeat import Heartbeat
from impressions.settings.model import Settings
from speed.applying.flush import Pair
from speed.delta_reader import DeltaReader, ForeignRecord
from speed.metrics import Metrics
from speed.partitions.delta_position import Offsets
from speed.partitions.movement import Movements
from speed.partitions.partition import Partition
from speed.publisher import Publisher


class Assignment:
    """What a worker holds while it is a member of the group; made in its event loop.

    Attributes:
        open: the open partitions by number.
        busy: held while one of them is changed or something is published.
        foreign: records of the delta topic that this worker did not write, some together, as they
            are read.
    """

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics):
        self.settings, self.clock, self.metrics = settings, clock, metrics
        self.open: dict[int, Partition] = {}
        self.busy = asyncio.Lock()
        self.publisher, self.movements = Publisher(settings), Movements()
        self.foreign: asyncio.Queue[Sequence[ForeignRecord]] = asyncio.Queue()
        self.delta_reader = DeltaReader(settings, self.open, self._on_foreign)
        self._loop = asyncio.get_running_loop()

    def _on_foreign(self, records: Sequence[ForeignRecord]) -> None:
        """Called in the delta reader's thread."""
        self._loop.call_soon_threadsafe(self.foreign.put_nowait, records)

    async def publish(
        self, partition: Partition, blocks: Iterable[Pair], heartbeat: Heartbeat
    ) -> list[Offsets]:
        """Blocks, and after them the heartbeat that says they are there; the offsets they got."""
        value = heartbeats.encode(heartbeat, self.settings.spec)
        return await self._publish(partition, blocks, (heartbeats.KEY, value))

    async def publish_heartbeat(self, partition: Partition, heartbeat: Heartbeat) -> None:
        """Publish a heartbeat alone and keep it; its stamp also shows the broker's time."""
        partition.keep_heartbeat(heartbeat, await self.publish(partition, (), heartbeat))

    async def publish_again(self, partition: Partition, key: bytes, value: bytes) -> None:
        """Put this worker's own record after an older one of another writer."""
        partition.know(await self._publish(partition, (), (key, value)))
        self.metrics.republished()

    async def _publish(
        self, partition: Partition, blocks: Iterable[Pair], last: Pair
    ) -> list[Offsets]:
        written = await self.publisher.publish(partition.number, blocks, last)
        if written.stamp_ms is not None:
            partition.leader_clock.stamped(written.stamp_ms)
        partition.own_records.add(written.ranges)
        return written.ranges

    def close(self) -> None:
        for partition in self.open.values():
            partition.close()
        self.open.clear()
