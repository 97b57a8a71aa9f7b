"""Whether bytes are a profile block of this spec: each check of its decoder, compiled, and nothing
else. What is refused here is decoded by impressions/formats/profile_block.py, which says why."""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.chosen_rows import items_of
from impressions.compiled.stored_parts import OfSpec, describe, opened
from impressions.compiled.table import BAD, BYTES

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]


@kept(types.boolean(BYTES, types.int64, types.float64[::1], _FLAGS, _FLAGS, _FLAGS, _INTS, _INTS))
def is_sound(block, cutover_ms, half_lives_ms, rooted, integral, whole, adds, limits):  # type: ignore[no-untyped-def]
    """Whether `block` decodes, and is relative to this cutover; the rest is as in `OfSpec`."""
    times = np.zeros(4, np.int64)
    times[1] = cutover_ms
    stored = opened(block, block[:0], np.empty(0, np.int64), len(integral))
    spec = OfSpec(half_lives_ms, rooted, integral, whole, adds, limits)
    if not len(block) or describe(stored, times, spec) == BAD:
        return False
    return items_of(stored, 0)[1]
