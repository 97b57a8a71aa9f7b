"""The pure core of the stream: one batch of impressions onto the blocks of a partition.

In: a batch of one partition's records in offset order, and a way to look at the block of a key.
Out: the blocks that changed, complete, and the counts. No clock, no I/O; the same batch on the same
blocks gives the same blocks, however often it is repeated:

    1. skip a device flush whose key has applied its offset already     a replay changes nothing
    2. drop one that was seen in its slot or the slot before            a device's resend
    3. put what is left beside what its block holds                     slot_impressions.py
    4. each touched block carries the newest offset of its flushes      the version of step 1

A slot may have several blocks (speed/applying/slot_parts.py); the key of a device flush is the
block that its record goes to.

A device flush is seen if it has one valid impression. Accepted or dropped, its id goes into its
slot's block, so what is known of flushes travels with the state. Device flushes of one record share
an offset, so a record is never split over two calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.core.impressions import Impressions, no_impressions
from impressions.core.spec import Spec
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.decoded_batch import DecodedBatch
from speed.applying.slot_impressions import of_groups
from speed.applying.slot_parts import Held, Key, Part, Slot


@dataclass(frozen=True)
class Applied:
    """What a batch did.

    Attributes:
        blocks: the changed blocks by key.
        applied, duplicate: impressions that counted, and those of flushes seen before.
        replayed: impressions whose block held them already; they were counted then.
    """

    blocks: dict[Key, DeltaBlock]
    applied: int
    duplicate: int
    replayed: int


class _Slots:
    """The slots that a batch touches, each opened once."""

    def __init__(self, held: Held, epoch: int, spec: Spec):
        self._opened: dict[Key, Slot] = {}
        self._held, self._epoch, self._spec = held, epoch, spec
        self._groups = 0

    def at(self, profile_id: int, start_ms: int) -> Slot:
        key = profile_id, start_ms
        if key not in self._opened:
            self._opened[key] = Slot(key, self._held, self._epoch)
        return self._opened[key]

    def take(self, key: Key, flush_id: int, offset: int, impressions: int) -> tuple[str, int]:
        """What becomes of a device flush, and the group that its impressions add to; -1: none."""
        slot = self.at(*key)
        part = slot.part_for(offset)
        if part is None:
            return "replayed", -1
        outcome, group, known = "duplicate", -1, slot.knows(flush_id)
        if not known and not self.at(key[0], key[1] - self._spec.slot_ms).knows(flush_id):
            if part.group < 0:
                part.group, self._groups = self._groups, self._groups + 1
            outcome, group = "applied", part.group
            part.weight += impressions
        if not known:
            part.known.add(flush_id)
            part.weight += 1
        part.offset, part.changed = offset, True
        return outcome, group

    def changed(self) -> list[tuple[Key, Part]]:
        """(slot, part) of each part that is not as it was, in the order of their keys' slots."""
        return [(k, p) for k, slot in self._opened.items() for p in slot.parts if p.changed]


def of_flushes(batch: DecodedBatch, spec: Spec) -> tuple[Int, Int]:
    """(m,) of each device flush: impressions that count, and the start of the slot it came in."""
    flushes = len(batch.record)
    impressions = np.bincount(batch.flush[batch.reason == Reason.OK], minlength=flushes)
    ingest_ms = batch.ingest_ms[np.searchsorted(batch.flush, np.arange(flushes))]
    return impressions, ingest_ms // spec.slot_ms * spec.slot_ms


def apply(batch: DecodedBatch, offsets: Int, held: Held, epoch: int, spec: Spec) -> Applied:
    """Apply a batch.

    Args:
        offsets: (r,) source offset of each record of the batch, ascending.
        held: gives the block of a key as it was before the batch; None if there is none.
    """
    valid = np.flatnonzero(batch.reason == Reason.OK)
    impressions, slots_ms = of_flushes(batch, spec)
    slots = _Slots(held, epoch, spec)
    group_of_flush = np.full(len(batch.record), -1, np.int64)
    counts = {"applied": 0, "duplicate": 0, "replayed": 0}
    for i in np.flatnonzero(impressions).tolist():
        key = (int(batch.profile_id[i]), int(slots_ms[i]))
        offset, count = int(offsets[batch.record[i]]), int(impressions[i])
        outcome, group_of_flush[i] = slots.take(key, int(batch.log_id[i]), offset, count)
        counts[outcome] += count
    chosen = valid[group_of_flush[batch.flush[valid]] >= 0]
    changed = slots.changed()
    before = {p.group: p.held.impressions for _, p in changed if p.held and p.group >= 0}
    merged = of_groups(batch, chosen, group_of_flush[batch.flush[chosen]], before, spec)
    blocks = {
        part.key: _block(slot_ms, epoch, part, merged, spec) for (_, slot_ms), part in changed
    }
    return Applied(blocks, **counts)


def _block(
    slot_ms: int, epoch: int, part: Part, merged: list[Impressions], spec: Spec
) -> DeltaBlock:
    """A part as it is after the batch."""
    if part.group >= 0:
        impressions = merged[part.group]
    else:
        impressions = no_impressions(spec) if part.held is None else part.held.impressions
    log_ids = np.array(sorted(part.known), np.int64)
    return DeltaBlock(slot_ms, epoch, part.offset, log_ids, impressions)
