"""Deleting expired slots: those that no generation which may be rolled back to needs.

A partition's floor is the start of the slot that lies `stream.keep_days` before the time through
which the stream is complete. What is below the floor may be missing from the copy, and the state
says so *before* anything is deleted. Two clocks decide, the stream's and that of the process that
deletes: one that is ahead deletes nothing. The deleting itself is housekeeping: a pass over all
keys now and then, some keys per step, so that the follower never stops following.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np

from impressions.clock import monotonic_s
from impressions.core.shard import shards_of
from impressions.core.slot import slot_start_ms
from impressions.core.spec import DAY_MS
from impressions.deltas.store import NOTHING_DROPPED_MS, DeltaStore, PartitionState
from impressions.settings.model import Settings
from impressions.terminal import log

KEYS_PER_STEP = 5_000
_LEAST_PAUSE_S = 600.0


def floor_of(both_ms: int, settings: Settings) -> int:
    """Slots that start before this are deleted once the stream has come so far.

    Args:
        both_ms: the earlier of the time the stream is complete through and the own clock.
    """
    expired_ms = both_ms - settings.stream.keep_days * DAY_MS
    return max(NOTHING_DROPPED_MS, slot_start_ms(expired_ms, settings.spec))


class ExpiredSlots:
    """Deletes blocks below the floors of their partitions, some at a time."""

    def __init__(self, store: DeltaStore, settings: Settings):
        self._store, self._partitions = store, settings.partitions
        self._pause_s = max(float(settings.slot_seconds), _LEAST_PAUSE_S)
        self._next_at_s = monotonic_s()
        self._from_key, self._deleted = b"", 0

    def delete_some(self, states: Mapping[int, PartitionState]) -> None:
        """One step of a pass, if a pass is due."""
        if monotonic_s() < self._next_at_s or not states:
            return
        keys = _keys(self._store, self._from_key)
        if keys:
            kept = self._kept(keys, states)
            expired = [key for key, keep in zip(keys, kept, strict=True) if not keep]
            self._store.write((), {}, expired)
            self._deleted += len(expired)
            self._from_key = keys[-1] + b"\0"
        if len(keys) < KEYS_PER_STEP:
            log.info("swept", dropped=self._deleted)
            self._from_key, self._deleted = b"", 0
            self._next_at_s = monotonic_s() + self._pause_s

    def _kept(self, keys: list[bytes], states: Mapping[int, PartitionState]) -> list[bool]:
        profiles, slots = _split(keys)
        floors = np.full(self._partitions, np.iinfo(np.int64).min)
        for partition, state in states.items():
            floors[partition] = state.floor_ms
        kept: list[bool] = (slots >= floors[shards_of(profiles, self._partitions)]).tolist()
        return kept


def delete_partition(store: DeltaStore, partition: int, partitions: int) -> None:
    """Delete every block of a partition."""
    from_key = b""
    while keys := _keys(store, from_key):
        shards = shards_of(_split(keys)[0], partitions)
        store.write((), {}, [k for k, s in zip(keys, shards, strict=True) if s == partition])
        from_key = keys[-1] + b"\0"


def _keys(store: DeltaStore, from_key: bytes) -> list[bytes]:
    rows = store.scan(from_key)
    try:
        return [key for key, _ in islice(rows, KEYS_PER_STEP)]
    finally:
        rows.close()


def _split(keys: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) profiles and (n,) slots."""
    numbers = np.frombuffer(b"".join(keys), ">u8").astype(np.int64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]
