"""The blocks of a partition that were used recently, decoded, in memory beside its store.

Only this worker writes them, so that a key is known to have no block is remembered as well.
"""

from __future__ import annotations

from impressions.core.errors import CorruptData
from impressions.core.spec import Spec
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.terminal import log
from speed.applying.slot_parts import Key
from speed.partitions.partition_store import PartitionStore

_ROWS = 1_000_000
"""Kept in memory at most: some 32 MB, or as many empty blocks."""


class RecentBlocks:
    """Of one partition.

    Attributes:
        damaged: a block could not be read since this was last set to False: what it held is lost.
    """

    def __init__(self, store: PartitionStore, number: int, spec: Spec):
        self._store, self._number, self._spec = store, number, spec
        self._kept: dict[Key, DeltaBlock | None] = {}
        self._rows = 0
        self.damaged = False

    def get(self, key: Key) -> DeltaBlock | None:
        """The block of a key; None if there is none, or none that can be read."""
        if key not in self._kept:
            data = self._store.get(delta_block.key(*key))
            if data is None:
                self.put(key, None)
                return None
            try:
                self.put(key, delta_block.decode(data, self._spec))
            except CorruptData as error:
                # Another program's bytes under a key of ours.
                log.warning("block-lost", partition=self._number, because=error)
                self.damaged = True
                return None
        return self._kept[key]

    def put(self, key: Key, block: DeltaBlock | None) -> None:
        """Remember a block that is in the store now, or that there is none."""
        if self._rows > _ROWS:
            self._kept.clear()
            self._rows = 0
        self._kept[key] = block
        self._rows += 1 + (0 if block is None else len(block.items))
