"""The worker: records in, delta blocks out, in an order that survives a kill at any point.

    1  records of an older assignment are dropped; so is a record that was applied
    2  prepare: the batch onto the partition's blocks                 speed/partitions/partition.py
    3  if the assignment has changed meanwhile, the flush is dropped
    4  dead letters, then blocks, the heartbeat last: published, and the broker has confirmed
    5  one atomic write: blocks, heartbeat, where the delta topic goes on
    6  each second, for monitors: the group's commit of what was applied

Killed between 4 and 5, the blocks come back with the restore and their records are skipped block by
block; between 5 and 6, the records are skipped by the heartbeat. The topic comes first: a store
ahead of it would call a record applied that no other host ever gets. So the store needs no
write-ahead log: after a kill it is as it was some writes before, and the restore makes up for it.

Partitions have their steps concurrently: while one waits for the broker, another computes.

A partition is opened (restored from the delta topic) before its records flow. Beside the loop run
the heartbeats of partitions without traffic (speed/idle_heartbeats.py), a look for a truncated
source (speed/truncation.py), the comparison of what others wrote (speed/foreign_records.py) and the
watchdog.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import Any

from impressions.clock import Clock, monotonic_s
from impressions.core.errors import ImpressionsError, ServiceError
from impressions.kafka import topics
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.terminal import log
from speed import foreign_records, truncation
from speed.applying import create_time
from speed.applying.flush import Flush
from speed.applying.source_record import SourceRecord
from speed.assignment import Assignment
from speed.engine import Engine
from speed.fetches import Fetch, chunks, jumps, split_connected
from speed.idle_heartbeats import IdleHeartbeats
from speed.metrics import Metrics
from speed.partitions.applied_records import NO_LEADER_EPOCH
from speed.partitions.movement import Movement
from speed.partitions.opening import Identities, check_same, identities, open_partition
from speed.partitions.partition import Partition
from speed.watchdog import Watchdog

_END_S = 15.0


class Worker:
    """One member of the group. `run` returns after `stopping`, or raises.

    Args:
        accept_loss: pass over records that bear their producer's time.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        clock: Clock,
        metrics: Metrics,
        accept_loss: bool = False,
    ):
        self._settings, self._directory = settings, directory
        self._metrics, self._accept_loss = metrics, accept_loss
        self._ids: Identities | None = None
        self._assignment = Assignment(settings, clock, metrics)
        self._engine = Engine(settings, directory, self._handle, self._assigned, self._start_of)
        self._closing = threading.Event()
        self._beside: list[Callable[[], Coroutine[Any, Any, None]]] = [
            IdleHeartbeats(self._assignment, self._engine).run,
            partial(truncation.watch, self._assignment, self._closing),
            partial(foreign_records.compare, self._assignment),
            Watchdog(
                settings,
                directory,
                self._assignment.movements,
                self._engine.alive,
                lambda: self._ids,
            ).watch,
        ]

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; the flush under way is finished.

        Raises:
            ImpressionsError: this worker cannot work; its process should end and be restarted.
        """
        await self._assignment.publisher.start()
        self._assignment.delta_reader.start()
        await self._engine.start()
        tasks = [asyncio.create_task(each()) for each in self._beside]
        stop = asyncio.create_task(stopping.wait())
        ends: list[asyncio.Future[Any]] = [stop, self._engine.failed, *tasks]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                if end.done():
                    end.result()
        finally:
            self._closing.set()
            try:
                await asyncio.wait_for(self._end([stop, *tasks]), _END_S)
            except TimeoutError:
                raise ServiceError(
                    f"could not end in {_END_S:.0f} s: is the broker away?", reason="stuck"
                ) from None

    async def _end(self, tasks: Sequence[asyncio.Future[Any]]) -> None:
        """The flush under way is finished, then everything is closed."""
        assignment = self._assignment
        async with assignment.busy:
            for task in tasks:
                task.cancel()
            await self._engine.stop()
            await asyncio.to_thread(assignment.delta_reader.stop)
            await assignment.publisher.stop()
            assignment.close()

    # -- assignment ------------------------------------------------------------------------------

    async def _assigned(self, mine: frozenset[int]) -> None:
        assignment, held = self._assignment, self._assignment.open
        async with assignment.busy:
            ids = await asyncio.to_thread(identities, self._settings)
            if self._ids is not None:
                check_same(self._settings, self._ids, ids)
            self._ids = ids
            new = sorted(mine - held.keys())
            epochs = await asyncio.to_thread(truncation.leader_epochs, self._settings, new)
            for number in held.keys() - mine:
                held.pop(number).close()
            for number in new:
                opened = await self._opened(number, ids)
                opened.applied.leader_epoch = epochs.get(number, NO_LEADER_EPOCH)
                held[number] = opened
            for partition in held.values():
                partition.seeking = False
            assignment.delta_reader.watch()
            assignment.movements.watch(partition.movement for partition in held.values())
        self._metrics.assigned(mine)
        log.info("assigned", partitions=sorted(mine), generation=self._engine.generation)

    async def _opened(self, number: int, ids: Identities) -> Partition:
        movement = Movement(number)
        self._assignment.movements.watch([movement])
        return await asyncio.to_thread(
            open_partition,
            self._settings,
            self._directory,
            number,
            ids[0],
            self._assignment.clock,
            self._closing,
            movement,
        )

    def _start_of(self, number: int) -> int:
        partition = self._assignment.open.get(number)
        return 0 if partition is None else partition.next_offset

    # -- the loop --------------------------------------------------------------------------------

    async def _handle(self, fetches: Sequence[Fetch]) -> None:
        async with self._assignment.busy:
            by_partition: dict[int, list[Fetch]] = defaultdict(list)
            for fetch in fetches:
                if fetch.generation == self._engine.generation:
                    by_partition[fetch.partition].append(fetch)
            mine = [
                self._apply(partition, of_partition)
                for number, of_partition in by_partition.items()
                if (partition := self._assignment.open.get(number)) is not None
            ]
            await together(mine)

    async def _apply(self, partition: Partition, fetches: Sequence[Fetch]) -> None:
        self._check_stamped(partition, fetches)
        generation, at_most = fetches[0].generation, self._settings.speed.batch_records
        log_start = 0
        if jumps(fetches, partition.next_offset):
            log_start = await self._engine.first_offset(partition.number)
        while fetches:
            run, fetches = await self._next_run(partition, fetches, log_start)
            records = [record for fetch in run for record in fetch.records]
            for alike in create_time.runs(records):
                if not alike[0].stamped:
                    self._pass_over(partition, alike)
                    continue
                for chunk in chunks(alike, at_most):
                    if not await self._flush(partition, chunk, generation):
                        return

    def _check_stamped(self, partition: Partition, fetches: Sequence[Fetch]) -> None:
        """Raises Refused where a record bears its producer's time, unless that is accepted."""
        if all(fetch.stamped for fetch in fetches):
            return
        topics.check(self._settings)  # names the setting and the command that fixes it
        if not self._accept_loss:
            records = [record for fetch in fetches for record in fetch.records]
            left = [record for record in records if record.offset >= partition.next_offset]
            if unstamped := create_time.ranges(left):
                topic = self._settings.kafka.topic
                raise create_time.refused(topic, partition.number, unstamped)

    def _pass_over(self, partition: Partition, records: Sequence[SourceRecord]) -> None:
        left = [record for record in records if record.offset >= partition.next_offset]
        if left:
            log.warning(
                "passed-over",
                partition=partition.number,
                records=len(left),
                offsets=f"{left[0].offset}..{left[-1].offset + 1}",
                because="they bear their producer's time",
            )
            self._metrics.passed_over(len(left))
            partition.go_on_at(left[-1].offset + 1)

    async def _flush(
        self, partition: Partition, chunk: Sequence[SourceRecord], generation: int
    ) -> bool:
        """Steps 2 to 5; False if the assignment has changed meanwhile."""
        records = [record for record in chunk if record.offset >= partition.next_offset]
        if not records:
            return True
        started_s = monotonic_s()
        flush = partition.prepare(records)
        failpoint("before-publish")
        if generation != self._engine.generation:
            return False
        await self._publish(partition, flush)
        partition.movement.moved()
        self._metrics.flushed(
            partition.number,
            flush,
            monotonic_s() - started_s,
            self._assignment.clock() - records[-1].append_ms,
        )
        return True

    async def _publish(self, partition: Partition, flush: Flush) -> None:
        assignment = self._assignment
        await assignment.publisher.reject(flush.dead_letters)
        written = await assignment.publish(partition, flush.encoded, flush.heartbeat)
        failpoint("after-publish")
        partition.commit(flush, written)
        failpoint("after-write")

    async def _next_run(
        self, partition: Partition, fetches: Sequence[Fetch], log_start: int
    ) -> tuple[Sequence[Fetch], Sequence[Fetch]]:
        """The fetches that may be applied now, and those to ask for next; the others are dropped.

        The first record may be another one than expected: if the source has lost records (then the
        partition says so) and after the marker of a transaction (then nothing is missing). If the
        fetch itself begins too late, everything from the expected one on is fetched again; what was
        under way meanwhile begins too late as well, and is dropped until then.
        """
        number, next_up = partition.number, fetches[0]
        partition.skip_lost(min(log_start, next_up.first))
        if partition.seeking:
            fetches = list(dropwhile(lambda fetch: fetch.start > partition.next_offset, fetches))
            partition.seeking = not fetches
        elif next_up.start > partition.next_offset:
            expected = partition.next_offset
            log.warning("gap", partition=number, expected=expected, found=next_up.first)
            partition.seeking = True
            await self._engine.seek([number])
            return (), ()
        return split_connected(fetches, log_start)


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of them concurrently; if one raises, the others are ended before that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:  # what TaskGroup raises; callers expect the cause
        raise failed.exceptions[0] from None


def describe(error: BaseException) -> ImpressionsError:
    """What ended a worker, as an ImpressionsError."""
    if isinstance(error, ImpressionsError):
        return error
    return ServiceError(f"{type(error).__name__}: {error}", reason="worker")
