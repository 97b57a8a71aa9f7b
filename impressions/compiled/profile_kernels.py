"""Stored bytes of one profile to merged rows, compiled: what impressions/core/merge.py says, at
once.

In: the bytes of the profile block, those of the delta blocks one after the other, what to select.
Out: one row per item or per title, at the query time; or nothing, where bytes are not what they
should be, and then the plain form says why.

    1. places      where each table's columns are; every check of the plain decoders
    2. choose      rows of the selection, their keys (item, or title if grouped by title)
    3. slots       which row of the answer each of them belongs to (runs.py)
    4. add         column by column, each value times its part's factor

Only chosen rows are read, each column goes straight from the stored bytes to the answer's column,
and nothing in between is made: that, not arithmetic, is what numpy's form spends its time on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.runs import order_of, slots_of
from impressions.compiled.table import (
    BAD,
    BYTES,
    add_column,
    among_counted,
    compiled,
    integers,
    newest,
    places,
)
from impressions.compiled.wanted import is_wanted, wanted_of
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import ITEM_LOCATION_BITS
from impressions.formats import delta_block, profile_block
from impressions.formats.columns import F32, F64

_P_HEADER, _P_VERSION = profile_block.HEADER_BYTES, profile_block.VERSION
_D_HEADER, _D_VERSION = delta_block.HEADER_BYTES, delta_block.VERSION
_BITS, _LOCATION = np.int64(ITEM_LOCATION_BITS), np.int64(MAX_LOCATION)
NEVER = np.int64(-(2**63))
_KIND_P, _KIND_D = ord("P"), ord("D")

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]
_tuple: Any = types.Tuple
_RESULT = _tuple((types.boolean, _INTS, _INTS, types.float64[:, ::1]))
_SIGNATURE = _RESULT(
    BYTES, BYTES, _INTS, _INTS, types.float64[::1], _FLAGS, _FLAGS, types.int64, _INTS,
    types.Array(types.int64, 1, "C", readonly=True), types.boolean,
    types.Array(types.boolean, 1, "C", readonly=True), types.boolean, types.boolean,
)  # fmt: skip
"""Written down, so that it is compiled (or loaded) when imported and never again."""


@compiled
def _block(data, times, integral, half_lives, tag, limits, where, about):  # type: ignore[no-untyped-def]
    """Places of body and tail; returns the first tail row inside the window, BAD if it is none."""
    if len(data) < _P_HEADER or not _is_ours(data, _P_VERSION, _KIND_P, integral, half_lives, tag):
        return BAD
    reference, newest = _int64(data, 8), _int64(data, 16)
    n, k = np.int64(_uint32(data, 24)), np.int64(_uint32(data, 28))
    if reference != times[1] or not _are_times(reference, newest, limits):
        return BAD
    middle = places(data, _P_HEADER, n, integral, half_lives, F32, where[0])
    if middle == BAD:
        return BAD
    end = places(data, middle, k, integral, half_lives, F32, where[1])
    if end == BAD or end + k != len(data):
        return BAD
    first = 0
    for i in range(k):
        if i and data[end + i] < data[end + i - 1]:
            return BAD
        if data[end + i] < times[2]:
            first = i + 1
    about[0, 0], about[1, 0] = n, k
    for p in range(2):
        about[p, 1], about[p, 2] = newest, reference
    return first


@compiled
def _delta(data, integral, half_lives, tag, limits, where, about):  # type: ignore[no-untyped-def]
    """Places of a delta block; False if it is none."""
    if len(data) < _D_HEADER or not _is_ours(data, _D_VERSION, _KIND_D, integral, half_lives, tag):
        return False
    slot, newest = _int64(data, 8), _int64(data, 16)
    n, logs = np.int64(_uint32(data, 36)), np.int64(_uint32(data, 40))
    if slot % limits[0] or not _are_times(slot, newest, limits):
        return False
    start = _D_HEADER + 8 * logs
    if start > len(data):
        return False
    log_ids = data[_D_HEADER:start].view(np.int64)
    for i in range(1, logs):
        if log_ids[i] <= log_ids[i - 1]:
            return False
    if places(data, start, n, integral, half_lives, F64, where) != len(data):
        return False
    about[0], about[1], about[2] = n, newest, slot
    return True


@compiled
def _choose(  # type: ignore[no-untyped-def]
    items, first, wanted, shift, any_title, locations, any_location, by_title, keys, chosen, at
):  # fmt: skip
    """Put key and row of each chosen item behind `at`; returns where they end."""
    for i in range(first, len(items)):
        title = items[i] >> _BITS
        if not any_title and not is_wanted(title, wanted, shift):
            continue
        if not any_location and not locations[items[i] & _LOCATION]:
            continue
        keys[at] = title if by_title else items[i]
        chosen[at] = i
        at += 1
    return at


@compiled
def _is_ours(data, version, kind, integral, half_lives, tag):  # type: ignore[no-untyped-def]
    return (
        data[0] == version
        and data[1] == kind
        and data[2] == len(integral)
        and data[3] == half_lives
        and _uint32(data, 4) == tag
    )


@compiled
def _are_times(first, second, limits):  # type: ignore[no-untyped-def]
    return 0 <= first < limits[1] and 0 <= second < limits[1]


@compiled
def ascend(items):  # type: ignore[no-untyped-def]
    """Whether they are in order; none is looked at alone, so many are at the same time."""
    wrong = np.int64(len(items) > 0 and items[0] < 0)
    for i in range(1, len(items)):
        wrong += items[i] <= items[i - 1]
    return wrong == 0


@compiled
def _int64(data, at):  # type: ignore[no-untyped-def]
    return data[at : at + 8].view(np.int64)[0]


@compiled
def _uint32(data, at):  # type: ignore[no-untyped-def]
    return data[at : at + 4].view(np.uint32)[0]


@compiled
def part_of(p, block, deltas, edges):  # type: ignore[no-untyped-def]
    """The bytes that part p lies in: 0 body, 1 tail, 2.. the delta blocks."""
    return block if p < 2 else deltas[edges[p - 2] : edges[p - 1]]


@compiled
def describe(  # type: ignore[no-untyped-def]
    block, deltas, edges, times, half_lives, integral, tag, limits, where, about
):  # fmt: skip
    """Fill places and facts of every part; the first tail row that counts, BAD if one is wrong."""
    first_tail_row = 0
    if len(block):
        first_tail_row = _block(block, times, integral, half_lives, tag, limits, where, about)
        if first_tail_row == BAD:
            return BAD
    for p in range(2, len(about)):
        data = part_of(p, block, deltas, edges)
        if not _delta(data, integral, half_lives, tag, limits, where[p], about[p]):
            return BAD
        if about[p, 2] < times[3]:  # the generation holds it
            about[p, 0] = 0
    return first_tail_row


@compiled
def choose_all(  # type: ignore[no-untyped-def]
    block, deltas, edges, first_tail_row, where, about,
    titles, any_title, locations, any_location, by_title,
):  # fmt: skip
    """(n,) keys and rows of what is chosen, (parts + 1,) where each part's begin; none of them if
    items are not in order."""
    rows = about[:, 0].sum()
    keys, chosen = np.empty(rows, np.int64), np.empty(rows, np.uint32)
    bounds = np.zeros(len(about) + 1, np.int64)
    wanted, shift = wanted_of(titles)
    at = 0
    for p in range(len(about)):
        if about[p, 0]:
            data = part_of(p, block, deltas, edges)
            items = integers(data, where[p, 0, 0], about[p, 0], where[p, 0, 1])
            if p != 1 and not ascend(items):
                return keys[:0], chosen[:0], bounds[:0]
            first = first_tail_row if p == 1 else 0
            at = _choose(
                items, first, wanted, shift, any_title, locations, any_location, by_title,
                keys, chosen, at,
            )  # fmt: skip
        bounds[p + 1] = at
    return keys[:at], chosen[:at], bounds


@compiled
def _add_part(  # type: ignore[no-untyped-def]
    data, rows, slots, where, about, factors, rooted, exact, last_seen, numbers
):  # fmt: skip
    """Add the chosen rows of one part to the answer."""
    n, half_lives = about[0], len(factors)
    measures = (len(where) - 2) // 2
    newest(data, where[1, 0], n, where[1, 1], rows, slots, about[1], last_seen)
    for m in range(measures):
        start, code = where[2 + m]
        add_column(data, start, n, code, rows, slots, numbers[m])
        of_sums, with_sums = where[2 + measures + m]
        places, into = rows, slots
        if with_sums < n:
            places, into = among_counted(data, start, n, code, rows, slots)
        sums = numbers[measures + m * half_lives : measures + (m + 1) * half_lives]
        if exact:
            _add_exact_sums(data, of_sums, with_sums, places, into, factors, sums)
        else:
            _add_stored_sums(data, of_sums, with_sums, places, into, factors, rooted, sums)


@compiled
def _add_stored_sums(data, start, n, rows, slots, factors, rooted, sums):  # type: ignore[no-untyped-def]
    """The sums of a measure in a profile block: float32, of some half-lives the fourth root.

    One view and one call for all of them: a part of a hundred rows would else take longer to begin
    each of its columns than to add it.
    """
    stored = data[start : start + 4 * n * len(sums)].view(np.float32)
    for h in range(len(sums)):
        add_stored(stored, np.uint64(n * h), rows, slots, factors[h], rooted[h], sums[h])


@compiled
def add_stored(stored, base, rows, slots, factor, rooted, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] += stored[base + rows[i]] * factor, of a fourth root its fourth power."""
    if rooted:
        for i in range(len(rows)):
            root = np.float64(stored[base + rows[i]])
            square = root * root
            out[slots[i]] += square * square * factor
    else:
        for i in range(len(rows)):
            out[slots[i]] += np.float64(stored[base + rows[i]]) * factor


@compiled
def _add_exact_sums(data, start, n, rows, slots, factors, sums):  # type: ignore[no-untyped-def]
    """The sums of a measure in a delta block: float64."""
    stored = data[start : start + 8 * n * len(sums)].view(np.float64)
    for h in range(len(sums)):
        add_exact(stored, np.uint64(n * h), rows, slots, factors[h], sums[h])


@compiled
def add_exact(stored, base, rows, slots, factor, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] += stored[base + rows[i]] * factor."""
    for i in range(len(rows)):
        out[slots[i]] += stored[base + rows[i]] * factor


@kept(_SIGNATURE)
def merge_bytes(  # type: ignore[no-untyped-def]
    block, deltas, sizes, times, half_lives_ms, rooted, integral, tag, limits,
    titles, any_title, locations, any_location, by_title,
):  # fmt: skip
    """Merged rows of one profile.

    Args:
        block: bytes of the profile block; empty if there is none.
        deltas, sizes: bytes of all delta blocks; (d,) int64 how many each has.
        times: (4,) int64: query, cutover (or the smallest int64), first tail age still in the
            window, first slot that the stream owns; milliseconds but for the age, in days.
        half_lives_ms: (H,) float64.   rooted: (H,) bool, stored as fourth roots in the block.
        integral: (M,) bool.   tag: of the spec.   limits: (2,) int64: slot length, end of time.
        titles: (t,) int64 ascending, unless `any_title`.
        locations: (256,) bool, unless `any_location`.

    Returns:
        ok, (g,) keys, (g,) last seen, (M + M * H, g) float64 totals and sums. Not ok: the bytes
        are not a profile's, or not of this spec.
    """
    measures, half_lives, parts = len(integral), len(half_lives_ms), 2 + len(sizes)
    edges = np.zeros(parts - 1, np.int64)
    edges[1:] = np.cumsum(sizes)
    where = np.zeros((parts, 2 + 2 * measures, 2), np.int64)  # of each column, see `places`
    about = np.zeros((parts, 3), np.int64)  # rows, newest and reference of each part
    nothing = np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float64)
    first_tail_row = describe(
        block, deltas, edges, times, half_lives, integral, tag, limits, where, about
    )
    if first_tail_row == BAD:
        return False, nothing[0], nothing[1], nothing[2]
    keys, chosen, bounds = choose_all(
        block, deltas, edges, first_tail_row, where, about,
        titles, any_title, locations, any_location, by_title,
    )  # fmt: skip
    if not len(bounds):
        return False, nothing[0], nothing[1], nothing[2]
    small = keys[bounds[1] :]
    names, of_body, of_small = slots_of(keys[: bounds[1]], small, order_of(small))
    last_seen = np.full(len(names), NEVER)
    numbers = np.zeros((measures + measures * half_lives, len(names)), np.float64)
    factors = np.empty(half_lives, np.float64)
    for p in range(parts):
        lower, upper = bounds[p], bounds[p + 1]
        if lower < upper:
            for h in range(half_lives):
                factors[h] = np.exp2((about[p, 2] - times[0]) / half_lives_ms[h])
            slots = of_body if p == 0 else of_small[lower - bounds[1] : upper - bounds[1]]
            _add_part(
                part_of(p, block, deltas, edges), chosen[lower:upper], slots, where[p], about[p],
                factors, rooted, p > 1, last_seen, numbers,
            )  # fmt: skip
    return True, names, last_seen, numbers
