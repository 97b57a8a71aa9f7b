"""The profile of hours of a day against that of the same weekday of the weeks before. Pure.

Their distance is the share of impressions that would have to lie in other hours (total variation):
0 the same, 1 nothing in common. A clock that is 6 hours off moves a fifth to a half of them, half a
day without events a half. It is compared with the distance that those weeks have themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from batch.quality.expected import TREND_WEEKS, known, median
from batch.quality.findings import Finding, weekday
from batch.quality.series import Series
from impressions.core.decay import Float, Int
from impressions.settings.sections import Quality

RECENT_DAYS = 7


def hours_moved(series: Series, history: Float, day: int, limits: Quality) -> Iterator[Finding]:
    """Segments of a day whose hours moved; `history`: (days, segments, 24), NaN left out."""
    weeks = day - 7 * np.arange(1, limits.weeks + 1)
    came = known(series["impressions"][day])
    judged = np.array([s.location is None and not s.is_pooled for s in series.segments])
    judged &= came >= limits.min_impressions
    today, n = series.hours[day], np.maximum(came, 1.0)
    own, own_bound, own_weeks = _moved(today, history[weeks[weeks >= 1]], n, limits)
    near, near_bound, near_days = _moved(today, history[max(1, day - RECENT_DAYS) : day], n, limits)
    few = own_weeks < TREND_WEEKS
    # A Monday is not a Sunday: with few weeks the days before must say it too, with wide bounds.
    wide = 1 + few
    bad = (own > own_bound * wide) | (own_weeks == 0)
    bad &= ~few | np.where(near_days >= 2, near > near_bound * wide, own_weeks > 0)
    for i in np.flatnonzero(bad & judged).tolist():
        basis = f"at most, by the hours of {own_weeks[i]} {weekday(series.first_day + day)}s"
        basis += f" and {near_days[i]} days before" if few[i] else ""
        distance, bound = (own, own_bound * wide) if own_weeks[i] else (near, near_bound * wide)
        yield Finding(
            series.first_day + day, series.first_day + day, series.segments[i], "hours_moved",
            float(distance[i]), float(bound[i]), float(distance[i]), float(distance[i]),
            int(own_weeks[i]), basis,
        )  # fmt: skip


def _moved(today: Float, past: Float, came: Float, limits: Quality) -> tuple[Float, Float, Int]:
    """(segments,) each: the distance from the past, the bound that the past sets for it, and of how
    many days that past is."""
    days = np.asarray((~np.isnan(past[..., 0])).sum(axis=0))
    usual = known(median(past))
    usual = usual / np.maximum(usual.sum(axis=1, keepdims=True), 1e-9)
    spread = known(median(np.abs(past - usual).sum(axis=2) / 2))
    spread = np.where(days >= TREND_WEEKS, spread, 0.0)
    noise = 6 / np.sqrt(came)  # of events that come in groups of some ten, over 24 hours
    bound = np.maximum(np.maximum(2.5 * spread, noise + spread), limits.hours_moved)
    return known(np.abs(today - usual).sum(axis=1) / 2), bound, days
