"""One profile's slot while a batch is applied to it: its blocks, one after the other.

A block is one message, and all of it is written whenever it changes. So a slot has parts: when a
block is full, the next record of that profile begins another one under the next key, and only the
open part is published again.

    part 0, 1, 2, ...    keys (profile, slot start), (profile, slot start + 1 ms), + 2 ms, ...
    full                 impressions + flush ids >= full_at(part), or a block of version 2; a full
                         part never changes again
    item                 may lie in several parts: they add like any blocks of a profile

Small parts write less and are more to read. The bound grows with the part's number, so that a
person's day is a few small parts, and a bot's day of n impressions no more than some sqrt(n / 4).

Readers need not know: who reads the blocks of a profile from a slot on gets all its parts, each
relative to the start of the slot.

Which part a record goes to follows from the parts' contents and the record alone, never from how
records were cut into batches: so a replay goes to the same part again, also if only some of the
parts that a flush changed had been published. Device flushes of one record share an offset, the
version of a part; they all go to one part, and impressions/kafka/decoded_batch.py bounds what a
profile may have in one record.
"""

from __future__ import annotations

from collections.abc import Callable

from impressions.formats.delta_block import DeltaBlock

Key = tuple[int, int]
"""(profile id, slot start in ms + number of the part)."""

Held = Callable[[Key], DeltaBlock | None]

FIRST_FULL_AT, FULL_AT_GROWTH, FULL_AT_MOST = 32, 8, 20_000


def full_at(part: int) -> int:
    """How many impressions and flush ids fill the part of a slot with this number."""
    return min(FIRST_FULL_AT + FULL_AT_GROWTH * part, FULL_AT_MOST)


class Part:
    """One block while a batch is applied to it.

    Attributes:
        version: the last source offset that it held when the batch began; -1: none.
        offset: the last one it holds now.
        weight: impressions and flush ids in it.
        group: a number for what the batch adds to it; -1 while that is nothing.
    """

    def __init__(self, key: Key, number: int, held: DeltaBlock | None, epoch: int):
        self.key, self.number, self.held = key, number, held
        self.known: set[int] = set() if held is None else set(held.log_ids.tolist())
        # An older epoch's offsets belong to another incarnation of the source topic.
        self.version = held.offset if held is not None and held.epoch == epoch else -1
        self.offset = self.version
        self.weight = 0 if held is None else weight_of(held)
        self.group = -1
        self.changed = False

    @property
    def full(self) -> bool:
        summed = self.held is not None and self.held.summed is not None
        return summed or self.weight >= full_at(self.number)


class Slot:
    """The parts of one (profile, slot)."""

    def __init__(self, key: Key, held: Held, epoch: int):
        self._key, self._held, self._epoch = key, held, epoch
        self.parts = [self._part(0)]
        self._open = 0
        while self.parts[-1].full and self.parts[-1].held is not None:
            self.parts.append(self._part(len(self.parts)))

    def part_for(self, offset: int) -> Part | None:
        """The part that a record at this source offset belongs to; None if it is in one already."""
        while True:
            if self._open == len(self.parts):
                self.parts.append(self._part(self._open))
            part = self.parts[self._open]
            if offset <= part.version:
                return None
            if offset == part.offset or not part.full:
                return part
            self._open += 1

    def knows(self, flush_id: int) -> bool:
        """Whether this slot has seen a device flush."""
        return any(flush_id in part.known for part in self.parts)

    def _part(self, number: int) -> Part:
        key = self._key[0], self._key[1] + number
        return Part(key, number, self._held(key), self._epoch)


def weight_of(block: DeltaBlock) -> int:
    """Impressions in a block and flush ids remembered there."""
    return len(block.impressions) + len(block.log_ids)


def is_full(block: DeltaBlock, part: int) -> bool:
    """Whether the block of a part with this number never changes again."""
    return block.summed is not None or weight_of(block) >= full_at(part)
