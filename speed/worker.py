"""The worker: records in, delta blocks out, in an order that survives a kill at any point.

    1  records of an older assignment are dropped; so is a record that was applied
    2  prepare: the batch onto the state's blocks                     speed/state.py
    3  the assignment is looked at once more; another one: drop
    4  dead letters, then blocks, the heartbeat last: published, and the broker has confirmed
    5  one atomic write: blocks, heartbeat, where the delta topic goes on
    6  each second, for monitors: the group's commit of what was applied

Killed between 4 and 5, the blocks come back with the restore and their records are skipped block by
block; between 5 and 6, the records are skipped by the heartbeat. The topic comes first: a store
that were ahead of it would call a record applied that no other host ever gets. So the store needs
no log of its own: after a kill it is as it was some writes before, and the restore makes up.

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
from speed.fetches import Fetch, chunks, jumps, split_connected
from speed.guard import Foreign, Guard, version_of
from speed.metrics import Metrics
from speed.opening import Identities, check_same, identities, open_partition
from speed.progress import Progress
from speed.publisher import Publisher
from speed.state import Flush, Partition, Record, check_not_cut, next_through_ms
from speed.watchdog import Watchdog

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
        self._sought: set[int] = set()
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
            self._sought.clear()
            self._guard.watch({n: p.next_delta_offset for n, p in self._partitions.items()})
            self._progress.watch(mine)
        self._metrics.assigned(mine)
        log.info("assigned", partitions=sorted(mine), generation=self._engine.generation)

    def _start_of(self, number: int) -> int:
        partition = self._partitions.get(number)
        return 0 if partition is None else partition.next_offset

    # -- the loop --------------------------------------------------------------------------------

    async def _handle(self, fetches: Sequence[Fetch]) -> None:
        async with self._busy:
            by_partition: dict[int, list[Fetch]] = defaultdict(list)
            for fetch in fetches:
                if fetch.generation == self._engine.generation:
                    by_partition[fetch.partition].append(fetch)
            mine = [
                self._apply(partition, of_partition)
                for number, of_partition in by_partition.items()
                if (partition := self._partitions.get(number)) is not None
            ]
            await together(mine)

    async def _apply(self, partition: Partition, fetches: Sequence[Fetch]) -> None:
        if not all(fetch.stamped for fetch in fetches):
            topics.check(self._settings)  # names the setting and the command that fixes it
            raise Refused(f"topic {self._settings.kafka.topic}: records without append time")
        generation, at_most = fetches[0].generation, self._settings.speed.batch_records
        log_start = 0
        if jumps(fetches, partition.next_offset):
            log_start = await self._engine.first_offset(partition.number)
        while fetches:
            run, fetches = await self._next_run(partition, fetches, log_start)
            for chunk in chunks([record for fetch in run for record in fetch.records], at_most):
                if not await self._flush(partition, chunk, generation):
                    return

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
        self._note_loss(partition, min(log_start, next_up.first))
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

    def _note_loss(self, partition: Partition, first: int) -> None:
        """Where records before `first` are not there any more, go on there, and say so."""
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
        check_not_cut(partition.progress, end)
        if partition.next_offset < end and not await self._has_nothing(partition, end):
            return
        self._progress.moved(partition.number)
        beat = partition.progress
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
        which nobody is given, or have lost everything. Asked where nothing has come for a while."""
        number, at = partition.number, partition.next_offset
        seen, since_s = self._waiting.get(number, (-1, 0.0))
        if seen != at:
            self._waiting[number] = (at, monotonic_s())
            return False
        if monotonic_s() - since_s < _SILENCE_S:
            return False
        self._waiting[number] = (at, monotonic_s())
        source = self._settings.kafka.topic
        try:
            self._note_loss(partition, min(await self._engine.first_offset(number), end))
        except ServiceError:
            return False  # asked again soon
        at = partition.next_offset
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
