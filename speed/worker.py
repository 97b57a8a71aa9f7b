"""The worker: records in, delta blocks out, in an order that survives a kill at any point.

    1  records of an older assignment are dropped; so is a record that was applied
    2  prepare: the batch onto the state's blocks                     speed/partition.py
    3  the assignment is looked at once more; another one: drop
    4  dead letters, then blocks, the heartbeat last: published, and the broker has confirmed
    5  one atomic write: blocks, heartbeat, where the delta topic goes on
    6  each second, for monitors: the group's commit of what was applied

Killed between 4 and 5, the blocks come back with the restore and their records are skipped block by
block; between 5 and 6, the records are skipped by the heartbeat. The topic comes first: a store
that were ahead of it would call a record applied that no other host ever gets. So the store needs
no log of its own: after a kill it is as it was some writes before, and the restore makes up.

Partitions have their steps side by side: while one waits for the broker, another computes.

A partition is opened (restored from the delta topic) before its records flow. Beside the loop run
the heartbeats of partitions without traffic (speed/idle_heartbeats.py), a look for a source that was cut
(speed/truncation.py), what other writers' records mean (speed/foreign_records.py) and the watchdog.
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
from speed import create_time as unstamped
from speed import foreign_records as foreign
from speed import truncation as cuts
from speed.assignment import Partitions
from speed.engine import Engine
from speed.fetches import Fetch, chunks, jumps, split_connected
from speed.idle_heartbeats import Beats
from speed.metrics import Metrics
from speed.opening import Identities, check_same, identities, open_partition
from speed.partition import Flush, Partition, Record
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
        self._partitions = Partitions(settings, clock, metrics)
        self._engine = Engine(settings, directory, self._handle, self._assigned, self._start_of)
        self._cuts = cuts.Cuts(settings)
        self._sought: set[int] = set()
        self._closing = threading.Event()
        self._beside: list[Callable[[], Coroutine[Any, Any, None]]] = [
            Beats(self._partitions, self._engine).run,
            partial(cuts.look_on, self._cuts, self._partitions, self._closing),
            partial(foreign.compare, self._partitions),
            Watchdog(
                settings,
                directory,
                self._partitions.progress,
                self._engine.alive,
                lambda: self._ids,
            ).watch,
        ]

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; the flush under way is finished.

        Raises:
            ImpressionsError: this worker cannot work; its process should end and be restarted.
        """
        await self._partitions.publisher.start()
        self._partitions.guard.start()
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
        """The flush under way is finished, then everything is let go."""
        partitions = self._partitions
        async with partitions.busy:
            for task in tasks:
                task.cancel()
            await self._engine.stop()
            await asyncio.to_thread(partitions.guard.stop)
            await partitions.publisher.stop()
            partitions.close()

    # -- assignment ------------------------------------------------------------------------------

    async def _assigned(self, mine: frozenset[int]) -> None:
        partitions, held = self._partitions, self._partitions.open
        async with partitions.busy:
            ids = await asyncio.to_thread(identities, self._settings)
            if self._ids is not None:
                check_same(self._settings, self._ids, ids)
            self._ids = ids
            new = sorted(mine - held.keys())
            epochs = await asyncio.to_thread(cuts.leader_epochs, self._settings, new)
            for number in held.keys() - mine:
                held.pop(number).close()
            for number in new:
                held[number] = await self._opened(number, ids)
            self._sought.clear()
            partitions.guard.watch({n: p.next_delta_offset for n, p in held.items()})
            self._cuts.watch({n: p.last_record for n, p in held.items()}, epochs)
            partitions.progress.watch(mine)
        self._metrics.assigned(mine)
        log.info("assigned", partitions=sorted(mine), generation=self._engine.generation)

    async def _opened(self, number: int, ids: Identities) -> Partition:
        progress = self._partitions.progress
        progress.watch([number])
        return await asyncio.to_thread(
            open_partition,
            self._settings,
            self._directory,
            number,
            ids[0],
            self._partitions.clock,
            self._closing,
            partial(progress.moved, number),
        )

    def _start_of(self, number: int) -> int:
        partition = self._partitions.open.get(number)
        return 0 if partition is None else partition.next_offset

    # -- the loop --------------------------------------------------------------------------------

    async def _handle(self, fetches: Sequence[Fetch]) -> None:
        async with self._partitions.busy:
            by_partition: dict[int, list[Fetch]] = defaultdict(list)
            for fetch in fetches:
                if fetch.generation == self._engine.generation:
                    by_partition[fetch.partition].append(fetch)
            mine = [
                self._apply(partition, of_partition)
                for number, of_partition in by_partition.items()
                if (partition := self._partitions.open.get(number)) is not None
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
            for alike in unstamped.runs(records):
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
            found = unstamped.ranges(r for r in records if r.offset >= partition.next_offset)
            if found:
                raise unstamped.refused(self._settings.kafka.topic, partition.number, found)

    def _pass_over(self, partition: Partition, records: Sequence[Record]) -> None:
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
            partition.lose_until(left[-1].offset + 1, self._partitions.latest_ms(partition.number))

    async def _flush(self, partition: Partition, chunk: Sequence[Record], generation: int) -> bool:
        """Steps 2 to 5; False where the assignment has changed meanwhile."""
        records = [record for record in chunk if record.offset >= partition.next_offset]
        if not records:
            return True
        started_s = monotonic_s()
        flush = partition.prepare(records)
        failpoint("before-publish")
        if generation != self._engine.generation:
            return False
        await self._publish(partition, flush)
        self._partitions.progress.moved(partition.number)
        self._metrics.flushed(
            partition.number,
            flush,
            monotonic_s() - started_s,
            self._partitions.clock() - records[-1].append_ms,
        )
        return True

    async def _publish(self, partition: Partition, flush: Flush) -> None:
        partitions = self._partitions
        await partitions.publisher.reject(flush.dead_letters)
        wrote = await partitions.publish(partition, flush.encoded, flush.progress)
        failpoint("after-publish")
        partition.commit(flush, wrote)
        self._cuts.applied(partition.number, partition.last_record)
        failpoint("after-write")

    async def _next_run(
        self, partition: Partition, fetches: Sequence[Fetch], log_start: int
    ) -> tuple[Sequence[Fetch], Sequence[Fetch]]:
        """The fetches that may be applied now, and those to ask for next; the others are dropped.

        The first record may be another one than expected: where the source has lost records (then
        the partition says so) and behind the marker of a transaction (then nothing is missing).
        Where the fetch itself begins too late, everything from the expected one on is fetched
        again; what was under way meanwhile begins too late as well, and is dropped until then.
        """
        number, next_up = partition.number, fetches[0]
        self._partitions.note_loss(partition, min(log_start, next_up.first))
        if number in self._sought:
            fetches = list(dropwhile(lambda fetch: fetch.start > partition.next_offset, fetches))
            if fetches:
                self._sought.discard(number)
        elif next_up.start > partition.next_offset:
            expected = partition.next_offset
            log.warning("gap", partition=number, expected=expected, found=next_up.first)
            self._sought.add(number)
            await self._engine.seek([number])
            return (), ()
        return split_connected(fetches, log_start)


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them, side by side; where one raises, the others are ended before that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:  # what TaskGroup raises; callers expect the cause
        raise failed.exceptions[0] from None


def describe(error: BaseException) -> ImpressionsError:
    """What ended a worker, as an error of ours."""
    if isinstance(error, ImpressionsError):
        return error
    return ServiceError(f"{type(error).__name__}: {error}", reason="worker")
