"""A generation's rows moved to a later cutover, compiled; what it means: shifts.py.

    untouched titles    are copied, their decayed sums multiplied by what they lose until then
    touched ones        are loaded into the table of places that sum_kernels.py adds into;
                        impressions that enter the tail are added to their day and taken out of
                        the body, new ones are added

Totals of measures that are not whole numbers are counted in units (microseconds) while they are
changed, so that what comes out of them again leaves exactly nothing. Decayed sums are float64.
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.sum_kernels import _order, _sort, _weigh
from impressions.compiled.table import compiled
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import DAY_MS, ITEM_LOCATION_BITS

BAD_LOCATION, FINER, LOST, BROKEN = -1, -2, -3, -4

_LOCATIONS = MAX_LOCATION + 1
_US = np.int64(1000)
_FREE = np.int32(-1)

_I64 = types.Array(types.int64, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_BOOL = types.Array(types.boolean, 1, "C", readonly=True)
_F64 = types.Array(types.float64, 1, "C", readonly=True)
_F64_2 = types.Array(types.float64, 2, "C", readonly=True)


@compiled
def _copy(j, shrink, old_totals, old_sums, numbers, to):  # type: ignore[no-untyped-def]
    """One row that nothing changes but time."""
    measures, half_lives = len(old_totals), len(shrink)
    for m in range(measures):
        numbers[m, to] = old_totals[m, j]
    for m in range(measures):
        for h in range(half_lives):
            at = m * half_lives + h
            numbers[measures + at, to] = old_sums[at, j] * shrink[h]


@compiled
def _load(j, shrink, units, old_totals, old_sums, added, place):  # type: ignore[no-untyped-def]
    """One row into a place; whether its totals are whole units."""
    measures, half_lives = len(old_totals), len(shrink)
    is_whole = True
    for m in range(measures):
        total = old_totals[m, j] * units[m]
        added[place, m] = np.rint(total)
        # Of a sum of terms that were each whole, but for the last digits of doubles.
        if abs(total - added[place, m]) > 0.01 + 1e-13 * total:
            is_whole = False
        for h in range(half_lives):
            at = m * half_lives + h
            added[place, measures + at] = old_sums[at, j] * shrink[h]
    return is_whole


@compiled
def _put(sign, row, place, values, adds, units, weights, added):  # type: ignore[no-untyped-def]
    """Adds or takes out one impression; whether what it adds is whole units."""
    measures, half_lives = len(adds), len(weights)
    is_whole = True
    for m in range(measures):
        x = 1.0 if adds[m] < 0 else values[adds[m], row]
        if x != 0.0:
            counted = np.rint(x * units[m])
            if abs(x * units[m] - counted) > 0.001 + 1e-15 * counted:
                is_whole = False
            added[place, m] += sign * counted
            at = measures + m * half_lives
            for h in range(half_lives):
                added[place, at + h] += sign * x * weights[h]
    return is_whole


@compiled
def _settle(place, counter, half_lives, digits, was, added):  # type: ignore[no-untyped-def]
    """The body of a key after impressions were taken out of it: its count, or what is wrong."""
    measures = len(added[place]) // (1 + half_lives)
    for m in range(measures):
        if added[place, m] < 0.0:
            return BROKEN
        at = measures + m * half_lives
        for h in range(half_lives):
            if added[place, m] == 0.0:
                added[place, at + h] = 0.0
            elif was[place, at + h] > 0.0 and added[place, at + h] < was[place, at + h] * digits:
                return LOST
    return np.int64(added[place, counter])


@kept(
    types.int64(
        _I64, _I64, _I64, _I64, _F64_2, _F64_2, _F64,
        _I64, _I64, _I32, _I64, _BOOL, _F64_2, types.int64, _I64, _F64, types.int64, types.float64,
        types.int64, types.int64, types.int64, _F64, _I64, _I64,
        types.Array(types.int64, 2, "C"), types.Array(types.float64, 2, "C"),
    )
)  # fmt: skip
def shifted(  # type: ignore[no-untyped-def]
    old_profiles, old_items, old_days, old_last, old_totals, old_sums, shrink,
    profiles, titles, locations, event_us, left_out, values, entering, adds, units, counter, digits,
    cutover_ms, first_day, tail_stop, rates, bases, powers, keys, numbers,
):  # fmt: skip
    """Rows of k old ones and n impressions, all of whole profiles.

    Args:
        old_profiles, ...: (k,) rows of the generation before, by (profile, item, day).
        old_totals: (M, k).   old_sums: (M * H, k).   shrink: (H,) what they are multiplied by.
        profiles, ...: (n,) as `sums` takes them; the first `entering` of them are in the body of
            those rows, on days before `tail_stop`; the others are new.
        units: (M,) of totals: 1, or how many of them are one.   counter: the measure that counts.
        digits: the least share of a sum that may be left when something is taken out.
        cutover_ms, ...: of the new generation, as `sums` takes them.
        keys: (4, >= k + 2 * n), numbers: (M + M * H, >= k + 2 * n) are filled as `sums` fills them.

    Returns:
        Rows that were filled; or BAD_LOCATION, FINER (not whole units), LOST (too few digits are
        left), BROKEN (something was taken out that was not in).
    """
    n, k, width, days = len(profiles), len(old_profiles), len(numbers), tail_stop - first_day + 1
    measures, half_lives = len(adds), len(rates)
    order = _order(profiles, titles)
    at = np.full(_LOCATIONS * days, _FREE, np.int32)
    codes, places = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    added, last = np.empty((len(at), width)), np.empty(len(at), np.int64)
    was, touched = np.empty((len(at), width)), np.empty(len(at), np.bool_)
    weights = np.empty(half_lives)
    filled, i, j = 0, 0, 0
    while i < n or j < k:
        if i < n:
            profile, title = profiles[order[i]], titles[order[i]]
        if j < k and (
            i == n
            or old_profiles[j] < profile
            or (old_profiles[j] == profile and old_items[j] >> ITEM_LOCATION_BITS < title)
        ):
            if old_days[j] < 0 or old_days[j] >= first_day:
                keys[0, filled], keys[1, filled] = old_profiles[j], old_items[j]
                keys[2, filled], keys[3, filled] = old_days[j], old_last[j]
                _copy(j, shrink, old_totals, old_sums, numbers, filled)
                filled += 1
            j += 1
            continue
        used = 0
        while j < k and old_profiles[j] == profile and old_items[j] >> ITEM_LOCATION_BITS == title:
            day = old_days[j]
            if day < 0 or day >= first_day:
                location = old_items[j] & MAX_LOCATION
                code = location * days + (0 if day < 0 else day - first_day + 1)
                at[code], codes[used], places[used] = used, code, used
                last[used], touched[used] = old_last[j], False
                if not _load(j, shrink, units, old_totals, old_sums, added, used):
                    return FINER
                used += 1
            j += 1
        while i < n and profiles[order[i]] == profile and titles[order[i]] == title:
            row = order[i]
            i += 1
            event_ms = event_us[row] // _US
            day = event_ms // DAY_MS
            if left_out[row] or (day < first_day and row >= entering):
                continue
            location = np.int64(locations[row])
            if location < 0 or location >= _LOCATIONS:
                return BAD_LOCATION
            _weigh(np.float64(event_ms - cutover_ms), rates, bases, powers, weights)
            if row < entering:
                place = np.int64(at[location * days])
                if place < 0:
                    return BROKEN
                if not touched[place]:
                    touched[place] = True
                    was[place, :] = added[place, :]
                _put(-1.0, row, place, values, adds, units, weights, added)
            if day < first_day:
                continue
            code = location * days + (0 if day >= tail_stop else day - first_day + 1)
            place = np.int64(at[code])
            if place < 0:
                place = np.int64(used)
                at[code], codes[used], places[used] = used, code, used
                added[used, :], last[used], touched[used] = 0.0, event_ms, False
                used += 1
            last[place] = max(last[place], event_ms)
            if not _put(1.0, row, place, values, adds, units, weights, added):
                return FINER
        _sort(codes, places, used)
        for u in range(used):
            code, place = codes[u], places[u]
            at[code] = _FREE
            age = code % days
            if touched[place]:
                count = _settle(place, counter, half_lives, digits, was, added)
                if count < 0:
                    return count
                if count == 0:
                    continue
            keys[0, filled], keys[1, filled] = profile, title << ITEM_LOCATION_BITS | code // days
            keys[2, filled] = first_day + age - 1 if age else -1
            keys[3, filled] = last[place]
            for m in range(measures):
                numbers[m, filled] = added[place, m] / units[m]
            for s in range(measures, width):
                numbers[s, filled] = added[place, s]
            filled += 1
    return filled
