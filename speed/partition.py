"""One partition of this worker: its store, how far it has come, and the three steps of a flush.

    prepare     records -> a Flush: what to publish and what to write; changes nothing
    commit      after the broker has it: one atomic write of blocks and progress
    beat        the same for a partition without traffic: only the heartbeat moves

Opening restores the store from the delta topic first, so a lost or stale directory costs time and
nothing else. Where the source has lost records that were never applied, the heartbeat says from
when on the partition is whole (`since_ms`), and answers that need more say that they lack it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from impressions.clock import Clock, now_ms
from impressions.core.decay import Int
from impressions.core.errors import CorruptData, Refused
from impressions.core.event import Reason
from impressions.core.ingest_time import Carried, ingest_times
from impressions.core.slot import format_utc, slot_start_ms
from impressions.core.spec import Spec
from impressions.deltas.expired_slots import Sweep, floor_of
from impressions.deltas.store import DeltaStore, PartitionState
from impressions.formats import delta_block, heartbeat
from impressions.formats.delta_block import DeltaBlock
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.kafka.dead_letters import DeadLetter, dead_letters_of
from impressions.kafka.decoded_batch import Batch, decode
from impressions.kafka.last_record import LastRecord
from impressions.kafka.median_event_time import device_ms
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.apply import apply
from speed.complete_through import next_through_ms
from speed.publisher import Offsets
from speed.slot_parts import Key

_HELD_ROWS = 1_000_000
"""In memory, beside the store: some 160 MB, or as many empty blocks."""


class Record(NamedTuple):
    """One record of the source topic. `append_ms` is the broker's time, where it is `stamped`."""

    offset: int
    append_ms: int
    value: bytes | None
    stamped: bool = True


@dataclass(frozen=True)
class Flush:
    """What some records lead to.

    Attributes:
        blocks, encoded: the changed blocks, and their (key, value).
        progress: the heartbeat that stands behind them.
        dead_letters: dead letters of the records, made as they are taken, once.
        counts: impressions applied, duplicate, replayed, rejected, read.
        rejected: the rejected by reason.
    """

    blocks: dict[Key, DeltaBlock]
    encoded: list[tuple[bytes, bytes]]
    progress: Heartbeat
    dead_letters: Iterator[DeadLetter]
    counts: dict[str, int]
    rejected: dict[str, int]


class Partition:
    """State of one partition while it is assigned to this worker."""

    def __init__(
        self,
        settings: Settings,
        store: DeltaStore,
        progress: Heartbeat,
        lost: bool = False,
        clock: Clock = now_ms,
    ):
        """`lost`: the source begins behind `progress`; the first record says since when."""
        self.number, self.progress = progress.partition, progress
        self._store, self._lost, self._clock = store, lost, clock
        self._settings, self._spec = settings, settings.spec
        self._topic = settings.kafka.topic
        self._sweep = Sweep(store, settings)
        self._held: dict[Key, DeltaBlock | None] = {}
        self._held_rows = 0
        self._beyond: list[Offsets] = []
        self._damaged = False

    @property
    def next_offset(self) -> int:
        """The first source offset that is not applied."""
        return self.progress.offset + 1

    @property
    def last_record(self) -> LastRecord:
        """The newest record that was applied."""
        return LastRecord(self.progress.last_offset, self.progress.last_digest)

    @property
    def next_delta_offset(self) -> int:
        """Where the delta topic goes on behind what the store holds."""
        return self._state().next_offset

    def prepare(self, records: Sequence[Record]) -> Flush:
        """Apply records that follow `progress`, in offset order."""
        offsets = np.array([record.offset for record in records], np.int64)
        append_ms = np.array([record.append_ms for record in records], np.int64)
        values = [record.value for record in records]
        beat = self.progress
        before = Carried(beat.newest_ms, beat.suspect_ms)
        ingest_ms, carried = ingest_times(append_ms, before, lambda: device_ms(values))
        batch = decode(values, ingest_ms, self.number, beat.partitions, self._spec)
        done = apply(batch, offsets, self._block, beat.epoch, self._spec)
        rejected = _rejected(batch)
        last = LastRecord.of(*records[-1][:3])
        progress = replace(
            beat,
            offset=last.offset,
            newest_ms=carried.newest_ms,
            suspect_ms=carried.suspect_ms,
            since_ms=self._since_ms(append_ms, ingest_ms),
            through_ms=next_through_ms(beat.through_ms, carried.newest_ms, self._clock()),
            last_offset=last.offset,
            last_digest=last.digest,
        )
        return Flush(
            done.blocks,
            _encoded(done.blocks, self._spec),
            progress,
            dead_letters_of(batch, values, offsets, self._topic, self.number, ingest_ms),
            {
                "read": batch.read,
                "applied": done.applied,
                "duplicate": done.duplicate,
                "replayed": done.replayed,
                "rejected": sum(rejected.values()),
            },
            rejected,
        )

    def commit(self, flush: Flush, wrote: Iterable[Offsets]) -> None:
        """Write what was published; `wrote`: the offsets it got in the delta topic."""
        self._write(flush.encoded, flush.progress, wrote)
        self._lost = self._damaged = False
        for key, block in flush.blocks.items():
            self._hold(key, block)

    def lose_until(self, first_offset: int, now_ms: int) -> None:
        """Go on at `first_offset`: the source has lost what lies before it."""
        self.progress = after_loss(self.progress, first_offset, now_ms)
        self._lost = True

    def beat(self, progress: Heartbeat, wrote: Iterable[Offsets]) -> None:
        """The same for a heartbeat alone."""
        self._write([], progress, wrote)

    def saw(self, wrote: Iterable[Offsets]) -> None:
        """These records of the delta topic say nothing that the store does not hold."""
        self._beyond += wrote

    def published(self, key: bytes) -> bytes | None:
        """The value this worker has last published under a key of the delta topic."""
        if key == heartbeat.KEY:
            return heartbeat.encode(self.progress, self._spec)
        return self._store.get(key)

    def close(self) -> None:
        self._store.close()

    def _block(self, key: Key) -> DeltaBlock | None:
        if key not in self._held:
            data = self._store.get(delta_block.key(*key))
            if data is None:
                self._hold(key, None)
                return None
            try:
                self._hold(key, delta_block.decode(data, self._spec))
            except CorruptData as error:
                # Somebody else's bytes under a key of ours: what it held is lost, and that is said.
                log.warning("block-lost", partition=self.number, because=error)
                self._damaged = True
                return None
        return self._held[key]

    def _hold(self, key: Key, block: DeltaBlock | None) -> None:
        """Remember a block, or that there is none: this worker alone writes them."""
        if self._held_rows > _HELD_ROWS:
            self._held.clear()
            self._held_rows = 0
        self._held[key] = block
        self._held_rows += 1 + (0 if block is None else len(block.rows))

    def _since_ms(self, append_ms: Int, ingest_ms: Int) -> int:
        """From when on the blocks are whole, after a flush of these records."""
        if self._damaged:
            return int(ingest_ms.max()) + 1
        since_ms = int(ingest_ms[0]) + 1 if self._lost else self.progress.since_ms
        doubted = ingest_ms[ingest_ms < append_ms]
        if not len(doubted):
            return since_ms
        log.warning(
            "stamps-ahead",
            partition=self.number,
            records=len(doubted),
            stamped=format_utc(int(append_ms.max())),
            counted_from=format_utc(int(doubted.min())),
        )
        # In a slot that was over: a generation that was made since may lack it.
        over_ms = slot_start_ms(self.progress.through_ms, self._spec)
        return max(since_ms, over_ms + 1) if doubted.min() < over_ms else since_ms

    def _write(
        self, puts: Sequence[tuple[bytes, bytes]], progress: Heartbeat, wrote: Iterable[Offsets]
    ) -> None:
        value = heartbeat.encode(progress, self._spec)
        held = self._state()
        # Two clocks: what is swept is gone from the blocks that are published next.
        vouched_ms = min(progress.through_ms, self._clock())
        floor_ms = max(held.floor_ms, floor_of(vouched_ms, self._settings))
        self._beyond += wrote
        next_offset, self._beyond = reached(held.next_offset, self._beyond)
        state = replace(held, next_offset=next_offset, heartbeat=value, floor_ms=floor_ms)
        self._store.write(puts, {self.number: state})
        self.progress = progress
        self._sweep.step({self.number: state})

    def _state(self) -> PartitionState:
        state = self._store.state(self.number)
        if state is None:
            raise RuntimeError(f"partition {self.number} was not restored before it was used")
        return state


def state_of(
    held: PartitionState,
    settings: Settings,
    partition: int,
    topic_id: bytes,
    source: tuple[int, int],
    now_ms: int,
) -> tuple[Heartbeat, bool]:
    """Where a restored partition goes on, and whether the source has lost records in between.

    Args:
        held: what the store says after its restore.
        source: [first, end) of the records the source has.

    Raises:
        Refused: the source topic was recreated or cut short and `stream.epoch` was not raised, or
            P differs.
    """
    fresh = Heartbeat(
        partition, settings.partitions, settings.stream.epoch, topic_id, held.topic_id,
        -1, 0, FROM_THE_FIRST_MS, FROM_THE_FIRST_MS,
    )  # fmt: skip
    beat, (first_offset, end_offset) = fresh, source
    if held.heartbeat is not None:
        kept = heartbeat.decode(held.heartbeat, settings.spec)
        if kept.deltas_id == held.topic_id:
            beat = _continued(kept, fresh, settings, now_ms)
    check_not_cut(beat, end_offset)
    lost = first_offset > beat.offset + 1
    return (after_loss(beat, first_offset, now_ms) if lost else beat), lost


def reached(next_offset: int, known: Iterable[Offsets]) -> tuple[int, list[Offsets]]:
    """How far the delta topic is known without a gap, and what is known behind the first one,
    ranges that touch joined: a gap may stay for as long as this worker lives.

    In a gap lie records of another worker. One that owned the partition meanwhile may have said
    there what this store does not hold: a restore has to read on from there.
    """
    behind: list[Offsets] = []
    for start, end in sorted(known):
        if start <= next_offset:
            next_offset = max(next_offset, end)
        elif behind and start <= behind[-1][1]:
            behind[-1] = behind[-1][0], max(behind[-1][1], end)
        else:
            behind.append((start, end))
    return next_offset, behind


def check_not_cut(beat: Heartbeat, end_offset: int) -> None:
    """Refuse a source that ends before what was applied: its offsets mean other records now."""
    if end_offset <= beat.offset:
        raise Refused(
            f"partition {beat.partition} of the source ends at offset {end_offset}, but offset "
            f"{beat.offset} was applied: the topic was recreated, or the broker lost its end",
            hint=f"stream.epoch = {beat.epoch + 1} for every worker and for land: both begin with "
            "an empty state",
            reason="source_cut",
        )


def after_loss(beat: Heartbeat, first_offset: int, now_ms: int) -> Heartbeat:
    """The heartbeat of a partition that goes on at `first_offset`, records before it being gone."""
    return replace(beat, offset=first_offset - 1, since_ms=max(beat.since_ms, now_ms))


def state_path(directory: Path, partition: int) -> Path:
    """Where a worker keeps one partition."""
    return directory / f"partition={partition}"


def _continued(beat: Heartbeat, fresh: Heartbeat, settings: Settings, now_ms: int) -> Heartbeat:
    """The published heartbeat, or a fresh one where `stream.epoch` was raised; or Refused."""
    epoch, partitions = settings.stream.epoch, settings.partitions
    if beat.partitions != partitions:
        raise Refused(
            f"the delta topic was written with {beat.partitions} partitions, expected {partitions}",
            hint="a new number of partitions needs new topics and a new generation",
            reason="partitions",
        )
    if beat.epoch < epoch:
        return replace(fresh, since_ms=max(beat.since_ms, now_ms))
    if beat.epoch > epoch or beat.topic_id != fresh.topic_id:
        raise Refused(
            f"topic {settings.kafka.topic} was recreated: epoch {beat.epoch} belongs to topic id "
            f"{beat.topic_id.hex()}, found {fresh.topic_id.hex()} with stream.epoch {epoch}",
            hint=f"if that was meant: stream.epoch = {beat.epoch + 1} for worker and land",
            reason="topic_recreated",
        )
    return beat


def _encoded(blocks: dict[Key, DeltaBlock], spec: Spec) -> list[tuple[bytes, bytes]]:
    return [
        (delta_block.key(*key), delta_block.encode(block, spec)) for key, block in blocks.items()
    ]


def _rejected(batch: Batch) -> dict[str, int]:
    codes: Int = np.bincount(batch.reason[batch.reason != Reason.OK], minlength=1)
    found = {Reason(code).label: int(n) for code, n in enumerate(codes) if n}
    for reason, n in Counter(bad.reason.label for bad in batch.unreadable).items():
        found[reason] = found.get(reason, 0) + n
    return found
