"""The worker: records in, delta blocks out, in an order that survives a kill at any point.

    1  records of an older assignment are dropped, unacked; so is a record that was applied
    2  prepare: the batch onto the state's blocks                     speed/state.py
    3  the assignment is looked at once more; another one: drop
    4  dead letters, then blocks, the heartbeat last: published, and the broker has confirmed
    5  one atomic write: blocks, heartbeat, where the delta topic goes on
    6  acks, in offset order

Killed between 4 and 5, the blocks come back with the restore and their records are skipped block by
block; between 5 and 6, the records are skipped by the heartbeat. The topic comes first: a store
that were ahead of it would call a record applied that no other host ever gets.

Partitions have their steps side by side: while one waits for the broker, another computes.

A partition is opened (restored from the delta topic) before its records flow. Three things run
beside the loop: heartbeats of partitions without traffic, the guard, and the watchdog.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import Any

from impressions import heartbeat
from impressions.clock import Clock, monotonic_s
from impressions.errors import CorruptData, ImpressionsError, Refused, ServiceError
from impressions.kafka import offsets, topics
from impressions.shell import log
from impressions.shell.failpoint import failpoint
from impressions.shell.settings import Settings
from impressions.spec import Spec
from speed.engine import Engine
from speed.events import chunks, record_of, without_jump
from speed.guard import Foreign, Guard, version_of
from speed.metrics import Metrics
from speed.opening import Identities, check_same, identities, open_partition
from speed.progress import Progress
from speed.publisher import Publisher
from speed.state import Flush, Partition, check_not_cut, next_through_ms
from speed.watchdog import Watchdog

_FLUSH_BYTES = 2 << 20
"""Of source records in one flush: some 40,000 impressions."""
_SILENCE_S = 3.0
_END_S = 15.0


class Worker:
    """One member of the group. `run` returns after `stopping`, or raises."""

    def __init__(self, settings: Settings, directory: Path, clock: Clock, metrics: Metrics):
        self._settings, self._directory, self._clock = settings, directory, clock
        self._metrics = metrics
        self._ids: Identities | None = None
        self._publisher = Publisher(settings)
        self._engine = Engine(settings, directory, self._handle, self._assigned, self._start_of)
        self._guard = Guard(settings, self._foreign_found)
        self._foreign: asyncio.Queue[Foreign] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._partitions: dict[int, Partition] = {}
        self._gaps: dict[int, int] = {}
        self._waiting: dict[int, tuple[int, float]] = {}
        self._busy = asyncio.Lock()
        self._closing = threading.Event()
        self._progress = Progress()
        self._watchdog = Watchdog(
            settings, directory, self._progress, self._engine.alive, lambda: self._ids
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; the flush under way is finished.

        Raises:
            ImpressionsError: this worker cannot work; its process should end and be restarted.
        """
        await self._publisher.start()
        self._guard.start()
        await self._engine.start()
        beside = [self._beat_on(), self._watchdog.watch(), self._compare_foreign()]
        tasks = [asyncio.create_task(each) for each in beside]
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
        async with self._busy:
            for task in tasks:
                task.cancel()
            await self._engine.stop()
            await asyncio.to_thread(self._guard.stop)
            await self._publisher.stop()
            for partition in self._partitions.values():
                partition.close()
            self._partitions.clear()

    # -- assignment ------------------------------------------------------------------------------

    async def _assigned(self, mine: frozenset[int]) -> None:
        async with self._busy:
            ids = await asyncio.to_thread(identities, self._settings)
            if self._ids is not None:
                check_same(self._settings, self._ids, ids)
            self._ids = ids
            for number in self._partitions.keys() - mine:
                self._partitions.pop(number).close()
            for number in sorted(mine - self._partitions.keys()):
                self._progress.watch([number])
                self._partitions[number] = await asyncio.to_thread(
                    open_partition,
                    self._settings,
                    self._directory,
                    number,
                    ids[0],
                    self._clock,
                    self._closing,
                    partial(self._progress.moved, number),
                )
            self._gaps.clear()
            self._guard.watch({n: p.next_delta_offset for n, p in self._partitions.items()})
            self._progress.watch(mine)
        self._metrics.assigned(mine)
        log.info("assigned", partitions=sorted(mine), generation=self._engine.generation)

    def _start_of(self, number: int) -> int:
        partition = self._partitions.get(number)
        return 0 if partition is None else partition.next_offset

    # -- the loop --------------------------------------------------------------------------------

    async def _handle(self, events: Sequence[Any]) -> None:
        async with self._busy:
            by_partition: dict[int, list[Any]] = defaultdict(list)
            for event in events:
                if self._engine.is_current(event):
                    by_partition[event.message.partition].append(event)
            mine = [
                self._apply(partition, of_partition)
                for number, of_partition in by_partition.items()
                if (partition := self._partitions.get(number)) is not None
            ]
            await together(mine)

    async def _apply(self, partition: Partition, events: Sequence[Any]) -> None:
        while events:
            run = await self._next_run(partition, events)
            if not run:
                return
            for chunk in chunks(run, _FLUSH_BYTES):
                if not await self._flush(partition, chunk):
                    return
                failpoint("before-ack")
                for event in chunk:
                    event.ack()
            last = run[-1].message.offset
            events = [event for event in events if event.message.offset > last]

    async def _flush(self, partition: Partition, events: Sequence[Any]) -> bool:
        """Steps 2 to 5; False where the assignment has changed meanwhile."""
        if not all(map(self._engine.stamped_by_broker, events)):
            topics.check(self._settings)  # names the setting and the command that fixes it
            raise Refused(f"topic {self._settings.kafka.topic}: records without append time")
        records = [
            record for record in map(record_of, events) if record.offset >= partition.next_offset
        ]
        if not records:
            return True
        started_s = monotonic_s()
        flush = partition.prepare(records)
        failpoint("before-publish")
        if not self._engine.is_current(events[-1]):
            return False
        await self._publish(partition, flush)
        self._progress.moved(partition.number)
        self._metrics.flushed(
            partition.number,
            flush,
            monotonic_s() - started_s,
            self._clock() - records[-1].append_ms,
        )
        return True

    async def _publish(self, partition: Partition, flush: Flush) -> None:
        if flush.letters:
            await self._publisher.reject(flush.letters)
        value = heartbeat.encode(flush.progress, self._settings.spec)
        wrote = await self._publisher.publish(
            partition.number, flush.encoded, (heartbeat.KEY, value)
        )
        self._guard.wrote(partition.number, wrote)
        failpoint("after-publish")
        partition.commit(flush, wrote)
        failpoint("after-write")

    async def _next_run(self, partition: Partition, events: Sequence[Any]) -> Sequence[Any]:
        """Those of the events, from the first on, that may be applied now; () drops them all.

        Offsets jump where the source has lost records (then the partition says so) and where a
        transaction ended (then nothing is missing). To tell the second from records that were
        skipped on the way, everything from the first expected one on is fetched again, once; what
        was queued meanwhile is dropped until that arrives.
        """
        number, found = partition.number, self._gaps.get(partition.number)
        if found is not None:
            events = list(dropwhile(lambda event: event.message.offset > found, events))
            if events:
                del self._gaps[number]
            return without_jump(events)
        first_found = events[0].message.offset
        if first_found > partition.next_offset:
            await self._note_loss(partition)
        if first_found <= partition.next_offset:
            return without_jump(events)
        log.warning("gap", partition=number, expected=partition.next_offset, found=first_found)
        self._gaps[number] = first_found
        await self._engine.seek([number])
        return ()

    async def _note_loss(self, partition: Partition) -> None:
        """Where the source begins behind what was applied, go on there, and say so."""
        source = self._settings.kafka.topic
        first, _ = await asyncio.to_thread(
            offsets.range_of, self._settings, source, partition.number
        )
        if first > partition.next_offset:
            log.warning(
                "records-lost",
                partition=partition.number,
                applied_through=partition.progress.offset,
                log_starts_at=first,
            )
            partition.lose_until(first, self._clock())

    # -- beside the loop -------------------------------------------------------------------------

    async def _beat_on(self) -> None:
        """Say how far partitions without traffic are whole."""
        speed = self._settings.speed
        while True:
            await asyncio.sleep(speed.heartbeat_s)
            async with self._busy:
                before_ms = self._clock() - round(speed.clock_margin_s * 1000)
                if self._partitions:
                    ends = await self._engine.end_offsets(sorted(self._partitions))
                    await asyncio.gather(
                        *[
                            self._beat(self._partitions[n], end, before_ms)
                            for n, end in ends.items()
                        ]
                    )

    async def _beat(self, partition: Partition, end: int, before_ms: int) -> None:
        """`end` was asked after `before_ms` of the broker's clock."""
        self._metrics.seen(partition.number, partition.progress, end, self._clock())
        beat = partition.progress
        check_not_cut(beat, end)
        if partition.next_offset < end and not await self._has_nothing(partition, end):
            return
        self._progress.moved(partition.number)
        through_ms = next_through_ms(beat.through_ms, before_ms)
        if through_ms == beat.through_ms:
            return
        beat = replace(beat, through_ms=through_ms, offset=max(beat.offset, end - 1))
        value = heartbeat.encode(beat, self._settings.spec)
        wrote = await self._publisher.publish(partition.number, (), (heartbeat.KEY, value))
        self._guard.wrote(partition.number, wrote)
        partition.beat(beat, wrote)

    async def _has_nothing(self, partition: Partition, end: int) -> bool:
        """Whether no record lies before `end`: a log may end with the marker of a transaction,
        which nobody is given. Asked where nothing has come for a while."""
        number, at = partition.number, partition.next_offset
        seen, since_s = self._waiting.get(number, (-1, 0.0))
        if seen != at:
            self._waiting[number] = (at, monotonic_s())
            return False
        if monotonic_s() - since_s < _SILENCE_S:
            return False
        self._waiting[number] = (at, monotonic_s())
        source = self._settings.kafka.topic
        return await asyncio.to_thread(offsets.is_empty, self._settings, source, number, at, end)

    def _foreign_found(self, foreign: Foreign) -> None:
        self._loop.call_soon_threadsafe(self._foreign.put_nowait, foreign)

    async def _compare_foreign(self) -> None:
        """The verdicts of speed/guard.py."""
        spec = self._settings.spec
        while True:
            foreign = await self._foreign.get()
            async with self._busy:
                if self._guard.is_own(foreign.partition, foreign.offset):
                    continue
                partition = self._partitions.get(foreign.partition)
                ours = None if partition is None else partition.published(foreign.key)
                if partition is None or ours is None:
                    continue
                theirs = _version(foreign, spec)
                held = version_of(foreign.key, ours, spec)
                if theirs > held and foreign.offset >= partition.next_delta_offset:
                    raise ServiceError(
                        f"partition {foreign.partition} has another owner: its delta offset "
                        f"{foreign.offset} is at {theirs}, this worker at {held}",
                        reason="fenced",
                    )
                if theirs < held:
                    log.warning("older-block", partition=foreign.partition, offset=foreign.offset)
                    wrote = await self._publisher.publish(partition.number, (), (foreign.key, ours))
                    self._guard.wrote(partition.number, wrote)
                    partition.saw(wrote)
                    self._metrics.republished()
                if theirs <= held:
                    partition.saw([(foreign.offset, foreign.offset + 1)])


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them, side by side; where one raises, the others are ended before that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _version(foreign: Foreign, spec: Spec) -> tuple[int, int]:
    """Its version; older than any where it is no block at all."""
    try:
        return version_of(foreign.key, foreign.value, spec)
    except CorruptData:
        return -1, -1


def describe(error: BaseException) -> ImpressionsError:
    """What ended a worker, as an error of ours."""
    if isinstance(error, ImpressionsError):
        return error
    return ServiceError(f"{type(error).__name__}: {error}", reason="worker")
