"""A batch onto the encoded blocks of a partition, compiled: the same as speed/applying/apply.py.

In: a judged batch as columns, and a way to look blocks up. Out: the blocks that change, in bytes.

While flushes are dealt out, a part that was not given is taken to be absent; then it is looked up.
Nearly always it is: it begins in this batch. If not, they are dealt out again.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from impressions.compiled.loading import loaded
from impressions.core.decay import Float, Int
from impressions.core.spec import Spec
from impressions.formats import delta_block, impression_columns

_KEY = struct.Struct("16s")

Chain = tuple[bytes, ...]
"""A slot's blocks in order of their parts, full ones first; b"" is known to be absent."""


class Kernels(NamedTuple):
    """The compiled functions: modules, for numba is imported only where it is used."""

    parts: Any
    blocks: Any


class HeldBlocks(Protocol):
    """What a partition holds. Only header and flush ids of a full block are looked at."""

    def chains(self, slots: Sequence[bytes]) -> list[Chain]:
        """Of each slot, by the key of its first part; at least one block or b""."""

    def look_up(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The block under each key."""


@dataclass(frozen=True)
class Judged:
    """n impressions of m device flushes.

    Attributes:
        profile_id, slot_ms, offset, flush_id: (m,) int64; `slot_ms` is where its slot starts.
        valid: (m,) int64, how many of its impressions count.
        flush: (n,) int64, ascending.
        reason: (n,) uint8, 0: it counts.
        items, event_ms: (n,) int64.
        added: (A, n) float64 of `spec.added_columns`.
    """

    profile_id: Int
    slot_ms: Int
    offset: Int
    flush_id: Int
    valid: Int
    flush: Int
    reason: NDArray[np.uint8]
    items: Int
    event_ms: Int
    added: Float


@dataclass(frozen=True)
class Outcome:
    """What a batch did: c blocks that changed, as columns; parts of a slot ascending.

    Attributes:
        slots: key of each one's slot, which is that of its first part.
        parts: its number among those.
        keys, values: what to publish.
        full: whether it never changes again.
        applied, duplicate: impressions that counted, and those of flushes seen before.
        replayed: impressions whose block held them already; they were counted then.
    """

    slots: list[bytes]
    parts: list[int]
    keys: list[bytes]
    values: list[bytes]
    full: list[bool]
    applied: int
    duplicate: int
    replayed: int

    @property
    def counts(self) -> dict[str, int]:
        """Impressions by what became of them."""
        return {"applied": self.applied, "duplicate": self.duplicate, "replayed": self.replayed}


@functools.cache
def kernels() -> Kernels | None:
    """The compiled functions; compiles if this machine never did. None where they cannot be had."""
    found = loaded("flushes", {"part_kernels": "route", "block_kernels": "merge"})
    return Kernels(*found) if found else None


def apply(
    compiled: Kernels, of: Judged, held: HeldBlocks, epoch: int, bounds: Sequence[int], spec: Spec
) -> Outcome:
    """See apply.py.

    Args:
        compiled: what `kernels` gave.
        bounds: impressions and flush ids that fill a part: the first, more for each, at most.
    """
    flushes = len(of.profile_id)
    slot_of = np.empty(flushes, np.int64)
    profiles, starts_ms, before = np.empty((3, 2 * flushes), np.int64)
    parting = compiled.parts
    count = parting.slots(
        of.profile_id, of.slot_ms, of.valid, spec.slot_ms, slot_of, profiles, starts_ms, before
    )
    slots = _keys(profiles[:count], starts_ms[:count])
    dealing = _Dealing(parting, of, slot_of, before[:count], epoch, np.array(bounds, np.int64))
    data, begins, parts = dealing.of(held, slots, held.chains(slots))
    changed = np.flatnonzero(parts[:, parting.CHANGED])
    weights = parts[changed, parting.WEIGHT]
    columns = 2 + len(of.added)
    room = len(changed) * (delta_block.HEADER_BYTES + columns) + 8 * columns * weights.sum()
    out, ends = np.empty(room, np.uint8), np.empty(len(changed), np.int64)
    compiled.blocks.merge(
        data, begins, parts, changed, starts_ms, dealing.outcome, dealing.part_of, of.flush_id,
        of.flush, of.reason, of.items, of.event_ms, of.added,
        np.array(impression_columns.is_whole(spec)),
        np.frombuffer(delta_block.common(spec, delta_block.VERSION), np.uint8), epoch, out, ends,
    )  # fmt: skip
    numbers, slot = parts[changed, parting.NUMBER], parts[changed, parting.SLOT]
    is_full = weights >= np.minimum(bounds[0] + bounds[1] * numbers, bounds[2])
    encoded, at = out[: ends[-1] if len(ends) else 0].tobytes(), [0, *ends.tolist()]
    return Outcome(
        [slots[s] for s in slot.tolist()],
        numbers.tolist(),
        _keys(profiles[slot], starts_ms[slot] + numbers),
        [encoded[a:b] for a, b in pairwise(at)],
        is_full.tolist(),
        *dealing.counts(),
    )


class _Dealing:
    """What becomes of each flush.

    Attributes:
        outcome, part_of: (m,) see `route`.
    """

    def __init__(self, kernel: Any, of: Judged, slot_of: Int, before: Int, epoch: int, bounds: Int):
        self._kernel, self._of, self._slot_of, self._before = kernel, of, slot_of, before
        self._epoch, self._bounds = epoch, bounds
        self.outcome = np.empty(len(slot_of), np.uint8)
        self.part_of = np.empty(len(slot_of), np.int64)

    def of(
        self, held: HeldBlocks, slots: Sequence[bytes], chains: list[Chain]
    ) -> tuple[NDArray[np.uint8], Int, Int]:
        """The blocks that were held, where each begins, and the parts."""
        while True:
            given = np.fromiter(map(len, chains), np.int64, len(chains))
            data, begins, parts = self._routed(chains, given)
            slot, number = parts[:, self._kernel.SLOT], parts[:, self._kernel.NUMBER]
            taken = np.flatnonzero(number >= given[slot]).tolist()
            if not taken:
                return data, begins, parts
            of_taken = [(int(slot[p]), int(number[p])) for p in taken]
            found = held.look_up([part_key(slots[s], n) for s, n in of_taken])
            if not any(found):
                return data, begins, parts
            for (s, _), block in zip(of_taken, found, strict=True):
                chains[s] = (*chains[s], block or b"")

    def _routed(self, chains: Sequence[Chain], given: Int) -> tuple[NDArray[np.uint8], Int, Int]:
        blocks = list(chain.from_iterable(chains))
        begins, firsts = _bounds(np.fromiter(map(len, blocks), np.int64)), _bounds(given)
        data = np.frombuffer(b"".join(blocks) or b"\0", np.uint8)
        size = len(blocks) + len(chains) + len(self._slot_of)
        parts, of = np.empty((size, self._kernel.FIELDS), np.int64), self._of
        count = self._kernel.route(
            data, begins, firsts, self._before, self._slot_of, of.offset, of.flush_id, of.valid,
            self._epoch, self._bounds, self.outcome, self.part_of, parts,
        )  # fmt: skip
        return data, begins, parts[:count]

    def counts(self) -> tuple[int, int, int]:
        """Impressions that were applied, duplicates and replayed."""
        by = np.bincount(self.outcome, self._of.valid, 5).astype(np.int64).tolist()
        k = self._kernel
        return by[k.APPLIED], by[k.NOTED] + by[k.KNOWN], by[k.REPLAYED]


def _bounds(sizes: Int) -> Int:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _keys(profiles: Int, times_ms: Int) -> list[bytes]:
    """The key of each block (delta_block.key)."""
    data = np.stack([profiles, times_ms], axis=1).astype(">u8").tobytes()
    return [key for (key,) in _KEY.iter_unpack(data)]


def part_key(slot: bytes, part: int) -> bytes:
    """The key of a part, of the key of its slot's first."""
    return slot[:8] + (int.from_bytes(slot[8:], "big") + part).to_bytes(8, "big")
