"""A partition of the source while this worker owns it: everything that the worker knows of it.

State that belongs to the partition is here and nowhere else, in parts of its own:

    heartbeat       what was published last: how far the partition has come
    own_records     which records of the delta topic this worker wrote
    applied         the last record of each recent flush, to notice a truncated source
    movement        when it last moved, for the watchdog
    leader_clock    the clock of the broker that leads it
    silence         how long it has waited for a record

A flush has two steps, and the worker publishes between them (speed/worker.py):

    prepare     records -> a Flush: what to publish and what to write; changes nothing
    commit      after the broker has it: one atomic write of blocks and heartbeat

Without traffic only the heartbeat moves (`keep_heartbeat`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from impressions.clock import Clock, now_ms
from impressions.compiled import blocks
from impressions.core.ingest_time import Carried, ingest_times
from impressions.deltas.store import DeltaStore
from impressions.formats.heartbeat import KEY as HEARTBEAT_KEY
from impressions.formats.heartbeat import Heartbeat
from impressions.formats.heartbeat import encode as encode_heartbeat
from impressions.kafka.dead_letters import dead_letters_of
from impressions.kafka.decoded_batch import decode
from impressions.kafka.last_record import LastRecord
from impressions.kafka.median_event_time import median_event_ms
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.applying.complete_since import after_loss, next_since_ms
from speed.applying.complete_through import next_through_ms
from speed.applying.encoded_apply import apply_encoded
from speed.applying.flush import Flush, Pair, rejected_by_reason
from speed.applying.source_record import SourceRecord
from speed.partitions.applied_records import AppliedRecords
from speed.partitions.delta_position import Offsets
from speed.partitions.leader_clock import LeaderClock
from speed.partitions.movement import Movement
from speed.partitions.own_records import OwnRecords
from speed.partitions.partition_store import PartitionStore
from speed.partitions.recent_slots import RecentSlots
from speed.partitions.silence import Silence


class Partition:
    """See the module's docstring; made when the partition is opened, closed when it is given up.

    Attributes:
        seeking: its consumer was sent back, and fetches that begin too late are still arriving.
    """

    def __init__(
        self,
        settings: Settings,
        store: DeltaStore,
        heartbeat: Heartbeat,
        lost: bool = False,
        clock: Clock = now_ms,
        movement: Movement | None = None,
    ):
        """
        Args:
            store: restored; this partition alone is in it.
            heartbeat: where it goes on.
            lost: the source lost records after that; the first record says since when.
            movement: the one that the restore has moved.
        """
        self.number, self.heartbeat = heartbeat.partition, heartbeat
        self.own_records = OwnRecords()
        self.applied = AppliedRecords(self.last_record)
        self.movement = movement or Movement(self.number)
        self.leader_clock, self.silence, self.seeking = LeaderClock(), Silence(), False
        self._settings, self._spec, self._clock = settings, settings.spec, clock
        self._store = PartitionStore(settings, store, self.number, clock)
        whole = blocks.kernels() is None
        self._slots = RecentSlots(self._store, self.number, self._spec, whole)
        self._lost = lost

    @property
    def next_offset(self) -> int:
        """The first source offset that is not applied."""
        return self.heartbeat.offset + 1

    @property
    def last_record(self) -> LastRecord:
        """The newest record that was applied."""
        return LastRecord(self.heartbeat.last_offset, self.heartbeat.last_digest)

    @property
    def next_delta_offset(self) -> int:
        """The first record of the delta topic that the store may lack."""
        return self._store.next_delta_offset

    def prepare(self, records: Sequence[SourceRecord]) -> Flush:
        """Apply records that follow `heartbeat`, in offset order."""
        offsets = np.array([record.offset for record in records], np.int64)
        append_ms = np.array([record.append_ms for record in records], np.int64)
        values = [record.value for record in records]
        before = self.heartbeat
        carried = Carried(before.newest_ms, before.suspect_ms)
        ingest_ms, carried = ingest_times(append_ms, carried, lambda: median_event_ms(values))
        batch = decode(values, ingest_ms, self.number, before.partitions, self._spec)
        done = apply_encoded(batch, offsets, self._slots, before.epoch, self._spec)
        rejected = rejected_by_reason(batch)
        since_ms = next_since_ms(
            before, append_ms, ingest_ms, self._spec, lost=self._lost, damaged=self._slots.damaged
        )
        topic = self._settings.kafka.topic
        return Flush(
            done,
            list(zip(done.keys, done.values, strict=True)),
            self._heartbeat_after(records[-1], carried, since_ms),
            dead_letters_of(batch, values, offsets, topic, self.number, ingest_ms),
            done.counts | {"read": batch.read, "rejected": sum(rejected.values())},
            rejected,
        )

    def commit(self, flush: Flush, written: Iterable[Offsets]) -> None:
        """Keep what was published; `written`: the offsets it got in the delta topic."""
        self._keep(flush.encoded, flush.heartbeat, written)
        self._lost = self._slots.damaged = False
        self._slots.put(flush.done)
        self.applied.add(self.last_record)

    def keep_heartbeat(self, heartbeat: Heartbeat, written: Iterable[Offsets]) -> None:
        """The same for a heartbeat alone."""
        self._keep([], heartbeat, written)

    def know(self, ranges: Iterable[Offsets]) -> None:
        """These records of the delta topic say nothing that the store does not hold."""
        self._store.know(ranges)

    def skip_lost(self, first_offset: int) -> None:
        """If the source has lost the records before `first_offset`, go on there, and log it."""
        if first_offset > self.next_offset:
            log.warning(
                "records-lost",
                partition=self.number,
                applied_through=self.heartbeat.offset,
                log_starts_at=first_offset,
            )
            self.go_on_at(first_offset)

    def go_on_at(self, first_offset: int) -> None:
        """Apply no record before this one: answers say that something is missing until now."""
        # By the later of both clocks: what was lost is not newer.
        at_ms = max(self._clock(), self.leader_clock.now_ms() or 0)
        self.heartbeat = after_loss(self.heartbeat, first_offset, at_ms)
        self._lost = True

    def published(self, key: bytes) -> bytes | None:
        """The value this worker has last published under a key of the delta topic."""
        if key == HEARTBEAT_KEY:
            return encode_heartbeat(self.heartbeat, self._spec)
        return self._store.get(key)

    def close(self) -> None:
        self._store.close()

    def _heartbeat_after(self, record: SourceRecord, carried: Carried, since_ms: int) -> Heartbeat:
        """The heartbeat once the flush that ends with this record is published."""
        last = LastRecord.of(record.offset, record.append_ms, record.value)
        claimed_ms = self.heartbeat.through_ms
        return replace(
            self.heartbeat,
            offset=last.offset,
            newest_ms=carried.newest_ms,
            suspect_ms=carried.suspect_ms,
            since_ms=since_ms,
            through_ms=next_through_ms(claimed_ms, carried.newest_ms, self._clock()),
            last_offset=last.offset,
            last_digest=last.digest,
        )

    def _keep(
        self, blocks: Sequence[Pair], heartbeat: Heartbeat, written: Iterable[Offsets]
    ) -> None:
        self._store.write(blocks, heartbeat, written)
        self.heartbeat = heartbeat
