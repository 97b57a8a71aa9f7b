"""Decayed sums of impressions by (profile, title, location, tail day), compiled.

    order    rows come as sorted runs, a file each; they are merged by (profile, title), and rows of
             one title stand in the order they came in
    sums     title by title: each row is added to the place of its location and tail day

Sums are float64, added in that order, so the same rows in the same files give the same bits. A
weight is an exp, or a power of a longer half-life's weight where that is a small multiple.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.table import compiled
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import DAY_MS, ITEM_LOCATION_BITS

_LOCATIONS = MAX_LOCATION + 1
_US = np.int64(1000)
_FREE = np.int32(-1)
BAD_LOCATION = -1

_I64 = types.Array(types.int64, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_BOOL = types.Array(types.boolean, 1, "C", readonly=True)
_F64 = types.Array(types.float64, 1, "C", readonly=True)
_F64_2 = types.Array(types.float64, 2, "C", readonly=True)


@compiled
def _is_before(profiles, titles, a, b):  # type: ignore[no-untyped-def]
    """Whether row a stands before row b by (profile, title)."""
    if profiles[a] != profiles[b]:
        return profiles[a] < profiles[b]
    return titles[a] < titles[b]


@compiled
def _merge(profiles, titles, order, begin, middle, end, out):  # type: ignore[no-untyped-def]
    """Merges two sorted runs of `order`; the first one wins a tie."""
    i, j = begin, middle
    for at in range(begin, end):
        if j == end or (i < middle and not _is_before(profiles, titles, order[j], order[i])):
            out[at] = order[i]
            i += 1
        else:
            out[at] = order[j]
            j += 1


@compiled
def _order(profiles, titles):  # type: ignore[no-untyped-def]
    """(n,) int32 rows by (profile, title), equal ones as they came: a natural merge sort."""
    n = len(profiles)
    order, spare = np.arange(n).astype(np.int32), np.empty(n, np.int32)
    bounds = [0]
    for i in range(1, n):
        if _is_before(profiles, titles, i, i - 1):
            bounds.append(i)
    bounds.append(n)
    while len(bounds) > 2:
        merged = [0]
        for r in range(0, len(bounds) - 1, 2):
            middle = bounds[r + 1]
            end = bounds[r + 2] if r + 2 < len(bounds) else middle
            _merge(profiles, titles, order, bounds[r], middle, end, spare)
            merged.append(end)
        bounds = merged
        order, spare = spare, order
    return order


@compiled
def _power(x, n):  # type: ignore[no-untyped-def]
    """x^n by squaring."""
    result = 1.0
    while n > 0:
        if n & 1:
            result *= x
        x *= x
        n >>= 1
    return result


@compiled
def _weigh(age_ms, rates, bases, powers, weights):  # type: ignore[no-untyped-def]
    """Fills the weights of an event of this age, the longest half-life first."""
    for h in range(len(rates) - 1, -1, -1):
        if bases[h] < 0:
            weights[h] = math.exp(age_ms * rates[h])
        else:
            weights[h] = _power(weights[bases[h]], powers[h])


@compiled
def _add(row, place, values, adds, weights, added):  # type: ignore[no-untyped-def]
    """Adds one impression to its totals and decayed sums."""
    measures, half_lives = len(adds), len(weights)
    for m in range(measures):
        x = 1.0 if adds[m] < 0 else values[adds[m], row]
        if x != 0.0:
            added[place, m] += x
            at = measures + m * half_lives
            for h in range(half_lives):
                added[place, at + h] += x * weights[h]


@compiled
def _sort(codes, places, n):  # type: ignore[no-untyped-def]
    """Ascending codes with their places; a title has few, mostly one."""
    for i in range(1, n):
        code, place, j = codes[i], places[i], i
        while j > 0 and codes[j - 1] > code:
            codes[j], places[j] = codes[j - 1], places[j - 1]
            j -= 1
        codes[j], places[j] = code, place


@kept(
    types.int64(
        _I64, _I64, _I32, _I64, _BOOL, _F64_2, _I64, types.int64, types.int64, types.int64,
        _F64, _I64, _I64, types.Array(types.int64, 2, "C"), types.Array(types.float64, 2, "C"),
    )
)  # fmt: skip
def sums(  # type: ignore[no-untyped-def]
    profiles, titles, locations, event_us, left_out, values, adds,
    cutover_ms, first_day, tail_stop, rates, bases, powers, keys, numbers,
):  # fmt: skip
    """Sums of n rows, of whole titles.

    Args:
        left_out: (n,) rows that count nothing; so do events before `first_day`.
        values: (c, n) columns that measures add.   adds: (M,) which of them; -1: the number 1.
        tail_stop: the first event day that is not kept apart.
        rates: (H,) ln 2 / half-life in ms, ascending half-lives; where `bases` is not -1 the weight
            is that one's, to the power in `powers`.
        keys: (4, >= n) is filled with profile, item, tail day (-1: none) and last seen in ms.
        numbers: (M + M * H, >= n) is filled with totals, and decayed sums measure by measure.

    Returns:
        Rows that were filled, by (profile, item, tail day); BAD_LOCATION where a location is none.
    """
    n, width, days = len(profiles), len(numbers), tail_stop - first_day + 1
    order = _order(profiles, titles)
    at = np.full(_LOCATIONS * days, _FREE, np.int32)
    codes, places = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    added, last = np.empty((len(at), width)), np.empty(len(at), np.int64)
    weights = np.empty(len(rates))
    filled, i = 0, 0
    while i < n:
        profile, title, used = profiles[order[i]], titles[order[i]], 0
        while i < n and profiles[order[i]] == profile and titles[order[i]] == title:
            row = order[i]
            i += 1
            event_ms = event_us[row] // _US
            day = event_ms // DAY_MS
            if left_out[row] or day < first_day:
                continue
            location = np.int64(locations[row])
            if location < 0 or location >= _LOCATIONS:
                return BAD_LOCATION
            code = location * days + (0 if day >= tail_stop else day - first_day + 1)
            place = np.int64(at[code])
            if place < 0:
                place = np.int64(used)
                at[code], codes[used], places[used] = used, code, used
                added[used, :], last[used] = 0.0, event_ms
                used += 1
            last[place] = max(last[place], event_ms)
            _weigh(np.float64(event_ms - cutover_ms), rates, bases, powers, weights)
            _add(row, place, values, adds, weights, added)
        _sort(codes, places, used)
        for k in range(used):
            code, place = codes[k], places[k]
            at[code] = _FREE
            age = code % days
            keys[0, filled], keys[1, filled] = profile, title << ITEM_LOCATION_BITS | code // days
            keys[2, filled] = first_day + age - 1 if age else -1
            keys[3, filled] = last[place]
            for s in range(width):
                numbers[s, filled] = added[place, s]
            filled += 1
    return filled
