"""Stored bytes of one profile to merged rows, compiled: what impressions/core/merge.py says, at
once.

In: the bytes of the profile block, those of the delta blocks one after the other, what to select.
Out: one row per item or per title, at the query time; or nothing, where bytes are not what they
should be, and then the plain form says why.

    1. places      where each part's columns are (stored_parts.py)
    2. choose      rows of the selection, and which row of the answer each is (chosen_rows.py)
    3. add         column by column, each value times its factor (columns_added.py)

Only chosen rows are read, each column goes straight from the stored bytes to the answer's column,
and nothing in between is made: that, not arithmetic, is what numpy's form spends its time on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.chosen_rows import choose
from impressions.compiled.columns_added import (
    add_seen,
    add_sums,
    add_totals,
    gathered,
    weights_of,
)
from impressions.compiled.stored_parts import OfSpec, describe, opened
from impressions.compiled.table import BAD, BYTES, NEVER

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]
_tuple: Any = types.Tuple
_RESULT = _tuple((types.boolean, _INTS, _INTS, types.float64[:, ::1]))
_SIGNATURE = _RESULT(
    BYTES, BYTES, _INTS, _INTS, types.float64[::1], _FLAGS, _FLAGS, _FLAGS, _INTS, _INTS,
    types.Array(types.int64, 1, "C", readonly=True), types.boolean,
    types.Array(types.boolean, 1, "C", readonly=True), types.boolean, types.boolean,
)  # fmt: skip
"""Written down, so that it is compiled (or loaded) when imported and never again."""


@kept(_SIGNATURE)
def merge_bytes(  # type: ignore[no-untyped-def]
    block, deltas, sizes, times, half_lives_ms, rooted, integral, whole, adds, limits,
    titles, any_title, locations, any_location, by_title,
):  # fmt: skip
    """Merged rows of one profile.

    Args:
        block: bytes of the profile block; empty if there is none.
        deltas, sizes: bytes of all delta blocks; (d,) int64 how many each has.
        times: see `describe`.
        half_lives_ms, rooted, integral, whole, adds, limits: see `OfSpec`.
        titles: (t,) int64 ascending, unless `any_title`.
        locations: (256,) bool, unless `any_location`.

    Returns:
        ok, (g,) keys, (g,) last seen, (M + M * H, g) float64 totals and sums. Not ok: the bytes
        are not a profile's, or not of this spec.
    """
    spec = OfSpec(half_lives_ms, rooted, integral, whole, adds, limits)
    measures, half_lives, query_ms = len(adds), np.arange(len(half_lives_ms)), times[0]
    nothing = np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float64)
    stored = opened(block, deltas, sizes, measures)
    first_tail_row = describe(stored, times, spec)
    if first_tail_row == BAD:
        return False, nothing[0], nothing[1], nothing[2]
    names, chosen = choose(
        stored, first_tail_row, titles, any_title, locations, any_location, by_title
    )
    if chosen.bounds[0] == BAD:
        return False, nothing[0], nothing[1], nothing[2]
    groups = len(names)
    singles = gathered(stored, chosen, len(whole))
    weights = weights_of(singles, spec, query_ms, half_lives)
    last_seen = np.full(groups, NEVER)
    add_seen(stored, chosen, singles, last_seen)
    numbers = np.zeros((measures * (1 + len(half_lives)), groups), np.float64)
    out = numbers.reshape(numbers.size).view(np.uint8)
    for m in range(measures):
        add_totals(stored, chosen, singles, spec, m, numbers[m])
        starts = 8 * groups * (measures + m * len(half_lives) + half_lives)
        add_sums(
            stored, chosen, singles, weights, spec, query_ms, m, half_lives, starts, groups, out
        )  # fmt: skip
    return True, names, last_seen, numbers
