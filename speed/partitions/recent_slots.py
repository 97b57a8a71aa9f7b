"""The blocks of a partition that were used recently, in bytes, in memory beside its store.

Only this worker writes them, so that a slot is known to have no block is remembered as well. A full
block never changes again, and only its header and flush ids are ever asked for: so much of it is
kept, unless blocks are to be decoded (`whole`).
"""

from __future__ import annotations

from collections.abc import Sequence

from impressions.compiled.blocks import Chain, Outcome, part_key
from impressions.core.errors import CorruptData
from impressions.core.spec import Spec
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.terminal import log
from speed.applying import slot_parts
from speed.partitions.partition_store import PartitionStore

_MAX_BYTES = 64 << 20
_SLOT_BYTES = 250
"""Of a slot beside its blocks."""
_ABSENT: Chain = (b"",)


class RecentSlots:
    """Of one partition.

    Attributes:
        held_bytes: about what it takes.
        damaged: a block could not be read since this was last set to False: what it held is lost.
    """

    def __init__(self, store: PartitionStore, number: int, spec: Spec, whole: bool):
        self._store, self._number, self._spec, self._whole = store, number, spec, whole
        self._kept: dict[bytes, Chain] = {}
        self.held_bytes = 0
        self.damaged = False

    def chains(self, slots: Sequence[bytes]) -> list[Chain]:
        """The blocks of each slot, by the key of its first part."""
        if self.held_bytes > _MAX_BYTES:
            self._kept.clear()
            self.held_bytes = 0
        found = list(map(self._kept.get, slots))
        missing = [slot for slot, chain in zip(slots, found, strict=True) if chain is None]
        loaded = self._load(missing) if missing else {}
        return [
            loaded[slot] if chain is None else chain
            for slot, chain in zip(slots, found, strict=True)
        ]

    def look_up(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The block under each key, out of the store; None if there is none to be read."""
        found = self._store.get_many(keys)
        return [None if data is None or self._decoded(data) is None else data for data in found]

    def put(self, done: Outcome) -> None:
        """Remember blocks that are in the store now."""
        kept, grown_bytes = self._kept, 0
        for slot, part, value, is_full in zip(
            done.slots, done.parts, done.values, done.full, strict=True
        ):
            chain = kept.get(slot, ())
            if part == 0 and len(chain) == 1 and not is_full:  # as nearly always
                grown_bytes += len(value) - len(chain[0])
                kept[slot] = (value,)
            elif chain and part <= len(chain):
                needed = self._needed(value, is_full)
                grown_bytes += len(needed) - sum(map(len, chain[part : part + 1]))
                kept[slot] = (*chain[:part], needed, *chain[part + 1 :])
            elif chain:
                grown_bytes -= _size(kept.pop(slot))  # it is loaded when it is asked for
        self.held_bytes += grown_bytes

    def _load(self, slots: Sequence[bytes]) -> dict[bytes, Chain]:
        """The blocks of these slots; they are kept unless some of them could not be read."""
        loaded: dict[bytes, Chain] = dict.fromkeys(slots, _ABSENT)  # as nearly all are
        unsound = []
        for slot, first in zip(slots, self._store.get_many(slots), strict=True):
            if first is not None:
                loaded[slot], is_sound = self._chain(slot, first)
                self.held_bytes += sum(map(len, loaded[slot])) if is_sound else -_SLOT_BYTES
                if not is_sound:
                    unsound.append(slot)
        self._kept.update(loaded)
        self.held_bytes += _SLOT_BYTES * len(loaded)
        for slot in unsound:
            del self._kept[slot]
        return loaded

    def _chain(self, slot: bytes, first: bytes) -> tuple[Chain, bool]:
        """The blocks of a slot up to the one that is not full; whether all could be read."""
        chain: list[bytes] = []
        data: bytes | None = first
        while data is not None:
            block = self._decoded(data)
            if block is None:
                return (*chain, b""), False
            is_full = slot_parts.is_full(block, len(chain))
            chain.append(self._needed(data, is_full))
            if not is_full:
                return tuple(chain), True
            data = self._store.get(part_key(slot, len(chain)))
        return (*chain, b""), True

    def _decoded(self, data: bytes) -> DeltaBlock | None:
        try:
            return delta_block.decode(data, self._spec)
        except CorruptData as error:
            # Another program's bytes under a key of ours.
            log.warning("block-lost", partition=self._number, because=error)
            self.damaged = True
            return None

    def _needed(self, data: bytes, is_full: bool) -> bytes:
        if self._whole or not is_full:
            return data
        return data[: delta_block.HEADER_BYTES + 8 * delta_block.header(data, self._spec).logs]


def _size(chain: Chain) -> int:
    return _SLOT_BYTES + sum(map(len, chain))
