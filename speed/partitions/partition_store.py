"""What a worker keeps of one partition on disk: blocks, heartbeat and delta position, in one write.

The state of a partition is written together with the blocks it speaks of, and slots that expired
are deleted after that, some keys with each write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from impressions.clock import Clock
from impressions.deltas.expired_slots import ExpiredSlots, floor_of
from impressions.deltas.store import DeltaStore, PartitionState
from impressions.formats.heartbeat import Heartbeat
from impressions.formats.heartbeat import encode as encode_heartbeat
from impressions.settings.model import Settings
from speed.applying.flush import Pair
from speed.partitions.delta_position import DeltaPosition, Offsets


class PartitionStore:
    """Of one partition; `store` was restored and holds this partition alone."""

    def __init__(self, settings: Settings, store: DeltaStore, number: int, clock: Clock):
        self._settings, self._store, self._number, self._clock = settings, store, number, clock
        self._position = DeltaPosition()
        self._expired = ExpiredSlots(store, settings)

    @property
    def next_delta_offset(self) -> int:
        """The first record of the delta topic that the store may lack."""
        return self._state().next_offset

    def get(self, key: bytes) -> bytes | None:
        """The block under a key of the delta topic."""
        return self._store.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The block under each key, in order."""
        return self._store.get_many(keys)

    def know(self, ranges: Iterable[Offsets]) -> None:
        """These records of the delta topic say nothing that the store does not hold."""
        self._position.know(ranges)

    def write(
        self, blocks: Sequence[Pair], heartbeat: Heartbeat, written: Iterable[Offsets]
    ) -> None:
        """Keep what was published; `written`: the offsets it got in the delta topic."""
        held = self._state()
        # Two clocks: what is deleted here is missing from the blocks that are published next.
        both_ms = min(heartbeat.through_ms, self._clock())
        self._position.know(written)
        state = replace(
            held,
            next_offset=self._position.advance(held.next_offset),
            heartbeat=encode_heartbeat(heartbeat, self._settings.spec),
            floor_ms=max(held.floor_ms, floor_of(both_ms, self._settings)),
        )
        self._store.write(blocks, {self._number: state})
        self._expired.delete_some({self._number: state})

    def close(self) -> None:
        self._store.close()

    def _state(self) -> PartitionState:
        state = self._store.state(self._number)
        if state is None:
            raise RuntimeError(f"partition {self._number} was not restored before it was used")
        return state
