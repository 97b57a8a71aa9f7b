"""Impressions of whole profiles become their rows of a generation: the definition, in numpy.

Window, tail, decay and what an impression adds are the core's (impressions/core/{window, decay,
contribution}.py). The compiled form (impressions/compiled/sums.py) is tested equal to it, and so
are Spark's expressions (batch/rules/aggregate.py). The audit of a sample computes by it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from batch.lake.ema_columns import NOT_TAIL, Columns
from impressions.compiled.sums import Impressions
from impressions.core import item, window
from impressions.core.contribution import contributions
from impressions.core.decay import Float, Int, weights
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION
from impressions.core.rows import Rows
from impressions.core.sort_key import order_by
from impressions.core.spec import DAY_MS, Spec


def plain_sums(of: Impressions, cutover_ms: int, spec: Spec) -> Columns:
    """What a generation holds for these impressions, by (profile, item, day), null day first.

    Raises:
        CorruptData: a location that is none.
    """
    event_ms = of.event_us // 1000
    event_day = event_ms // DAY_MS
    keep = np.flatnonzero(~of.left_out & (event_day >= window.first_day(cutover_ms, spec)))
    counted = of.locations[keep]
    if len(counted) and not 0 <= counted.min() <= counted.max() <= MAX_LOCATION:
        raise CorruptData(f"raw: a location is outside of 0..{MAX_LOCATION}")
    days = np.where(event_day < window.tail_days(cutover_ms, spec).stop, event_day, NOT_TAIL)
    items = item.pack(of.titles, of.locations.astype(np.int64))
    added = dict(zip(spec.added_columns, of.values, strict=True))
    x = contributions(added, len(event_ms), spec)[:, keep]
    columns = (of.profiles[keep], items[keep], days[keep], event_ms[keep])
    order = order_by(columns[0], columns[1], columns[2] - NOT_TAIL)
    profiles, items, days, event_ms = (column[order] for column in columns)
    x = x[:, order]
    new = (np.diff(profiles) != 0) | (np.diff(items) != 0) | (np.diff(days) != 0)
    starts = np.flatnonzero(np.concatenate((np.ones(min(len(items), 1), np.bool_), new)))
    decayed = weights(cutover_ms - event_ms, spec)
    # One (M, H, n) array of all events would be large; a measure and half-life at a time is not.
    sums = np.stack([[_add(m * w, starts) for w in decayed] for m in x])
    last_seen_ms = np.maximum.reduceat(event_ms, starts) if len(starts) else event_ms
    totals = np.stack([_add(m, starts) for m in x])
    return Columns(profiles[starts], days[starts], Rows(items[starts], last_seen_ms, totals, sums))


def _add(values: Float, starts: NDArray[np.intp]) -> Float:
    return np.add.reduceat(values, starts) if len(starts) else values


def raw_totals(of: Impressions, cutover_ms: int, spec: Spec) -> dict[str, float]:
    """Measure -> sum over the impressions that a generation counts; of no key, in no order."""
    oldest_us = window.first_day(cutover_ms, spec) * DAY_MS * 1000
    counted: Int = np.flatnonzero(~of.left_out & (of.event_us >= oldest_us))
    added = {n: v[counted] for n, v in zip(spec.added_columns, of.values, strict=True)}
    sums = contributions(added, len(counted), spec).sum(axis=1)
    return {m.name: _number(x, m.integral) for m, x in zip(spec.measures, sums, strict=True)}


def _number(value: float, integral: bool) -> float:
    return int(value) if integral else float(value)
