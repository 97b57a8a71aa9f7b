"""The rows of a generation from those of the generation before: the definition, in numpy.

With C0 and C1 the cutovers, and what an impression adds as plain_sums.py has it:

    body(C1) = body(C0) * 2^-((C1 - C0)/h) - what enters the tail + new, on days after the tail
    tail(C1) = tail(C0) * the same, of days still in the window + what enters + new, on days of it

A key whose body holds no impression any more has no row. A measure whose total is 0 has sums of 0:
totals are taken out exactly, in whole numbers or whole microseconds. The last time seen stays: what
is left is newer than what is taken out. The compiled form (impressions/compiled/shifts.py) is
tested equal to it.
"""

from __future__ import annotations

import numpy as np

from batch.lake.ema_columns import NOT_TAIL, Columns
from impressions.compiled import shifts
from impressions.compiled.shifts import BROKEN, FINER, LEAST_LEFT, LOST, Old, Unfit
from impressions.compiled.sums import Impressions
from impressions.core import item, window
from impressions.core.contribution import contributions
from impressions.core.decay import Float, Int, weights
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION
from impressions.core.rows import Rows
from impressions.core.spec import DAY_MS, Spec


def plain_shift(
    old: Old, of: Impressions, entering: int, from_ms: int, to_ms: int, spec: Spec
) -> Columns:
    """What a generation at `to_ms` holds, by (profile, item, day), null day first.

    Args, Raises: as `shifts.shifted_by`.
    """
    tail = window.tail_days(to_ms, spec)
    kept = np.flatnonzero((old.days == NOT_TAIL) | (old.days >= tail.start))
    event_day = of.event_us // 1000 // DAY_MS
    is_entering = np.arange(len(event_day)) < entering
    counted = np.flatnonzero(~of.left_out & (is_entering | (event_day >= tail.start)))
    leaving = counted[is_entering[counted]]
    counted = counted[event_day[counted] >= tail.start]
    shrink = np.tile(shifts.shrink(from_ms, to_ms, spec), len(spec.measures))
    totals = _totals_in_units(old, kept, of, spec)
    before = _keys_of_old(old, kept), np.vstack((totals, old.sums[:, kept] * shrink[:, None]))
    gains = _keys_of(of, counted, tail), _numbers_of(of, counted, to_ms, spec)
    losses = _keys_of(of, leaving, range(0)), -_numbers_of(of, leaving, to_ms, spec)
    keys = np.concatenate((before[0], losses[0], gains[0]), axis=1)
    numbers = np.concatenate((before[1], losses[1], gains[1]), axis=1)
    lost = np.zeros(keys.shape[1], np.bool_)
    lost[len(kept) : len(kept) + len(leaving)] = True
    order = np.lexsort(keys[2::-1])
    keys, numbers, lost = keys[:, order], numbers[:, order], lost[order]
    starts = np.flatnonzero(np.diff(keys[:3], axis=1, prepend=-2).any(axis=0))
    if not len(starts):
        return _columns(keys, numbers, spec)
    were = np.add.reduceat(np.where(order < len(kept), numbers, 0.0), starts, axis=1)
    keys = np.vstack((keys[:3, starts], np.maximum.reduceat(keys[3], starts)))
    numbers = np.add.reduceat(numbers, starts, axis=1)
    touched = np.flatnonzero(np.logical_or.reduceat(lost, starts))
    _settle(numbers, were, touched, spec)
    full = np.flatnonzero(numbers[shifts.counter(spec)] > 0)
    return _columns(keys[:, full], numbers[:, full], spec)


def _totals_in_units(old: Old, kept: Int, of: Impressions, spec: Spec) -> Float:
    """(M, n) of titles that change whole ones, so that nothing is left when all is taken out.

    Raises Unfit where they are no whole units, but for the last digits of doubles.
    """
    changed = set(zip(of.profiles.tolist(), of.titles.tolist(), strict=True))
    titles = item.title_of(old.items[kept]).tolist()
    named = zip(old.profiles[kept].tolist(), titles, strict=True)
    rows = np.flatnonzero([name in changed for name in named])
    totals = old.totals[:, kept] * shifts.units(spec)[:, None]
    whole = np.rint(totals[:, rows])
    if (np.abs(totals[:, rows] - whole) > 0.01 + 1e-13 * totals[:, rows]).any():
        raise Unfit(FINER)
    totals[:, rows] = whole
    return totals


def _keys_of_old(old: Old, kept: Int) -> Int:
    return np.stack([c[kept] for c in (old.profiles, old.items, old.days, old.last_seen_ms)])


def _keys_of(of: Impressions, rows: Int, tail: range) -> Int:
    """(4, n) profile, item, day and time of impressions; days outside of `tail` are NOT_TAIL."""
    locations = of.locations[rows].astype(np.int64)
    if len(rows) and not 0 <= locations.min() <= locations.max() <= MAX_LOCATION:
        raise CorruptData(f"raw: a location is outside of 0..{MAX_LOCATION}")
    event_ms = of.event_us[rows] // 1000
    days = event_ms // DAY_MS
    days = np.where((days >= tail.start) & (days < tail.stop), days, NOT_TAIL)
    return np.stack((of.profiles[rows], item.pack(of.titles[rows], locations), days, event_ms))


def _numbers_of(of: Impressions, rows: Int, to_ms: int, spec: Spec) -> Float:
    """(M + M * H, n) totals in units, and decayed sums at the new cutover."""
    added = {name: x[rows] for name, x in zip(spec.added_columns, of.values, strict=True)}
    x = contributions(added, len(rows), spec)
    in_units = x * shifts.units(spec)[:, None]
    if (np.abs(in_units - np.rint(in_units)) > 0.001 + 1e-15 * in_units).any():
        raise Unfit(FINER)
    decayed = weights(to_ms - of.event_us[rows] // 1000, spec)
    return np.vstack((np.rint(in_units), *(m * w for m in x for w in decayed)))


def _settle(numbers: Float, were: Float, touched: Int, spec: Spec) -> None:
    """Rows of which something was taken out. Raises Unfit."""
    measures, half_lives = len(spec.measures), len(spec.half_lives_days)
    for m in range(measures):
        total = numbers[m, touched]
        if (total < 0).any():
            raise Unfit(BROKEN)
        at = slice(measures + m * half_lives, measures + (m + 1) * half_lives)
        sums = np.where(total == 0, 0.0, numbers[at, touched])
        was = were[at, touched]
        if ((total > 0) & (was > 0) & (sums < was * LEAST_LEFT)).any():
            raise Unfit(LOST)
        numbers[at, touched] = sums


def _columns(keys: Int, numbers: Float, spec: Spec) -> Columns:
    profiles, items, days, last_seen_ms = keys
    measures, half_lives = len(spec.measures), len(spec.half_lives_days)
    totals = numbers[:measures] / shifts.units(spec)[:, None]
    sums = numbers[measures:].reshape(measures, half_lives, len(items))
    return Columns(profiles, days, Rows(items, last_seen_ms, totals, sums))
