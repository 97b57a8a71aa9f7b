"""A slow change in one direction over many weeks: named, never blocked. Pure.

No day of it differs from the weeks before it by enough to be a finding. Each week is the median of
its seven days; a drift is a median slope (Theil-Sen) of at least `quality.drift_ratio` a week over
`quality.drift_weeks` weeks (or four fifths of them, by the same sum), and of all pairs
of weeks four of five go the same way: neighbours may differ as an ordinary week and one with a
holiday do. Volume that grows is growth; only its decline is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from batch.quality.expected import median, slope_of
from batch.quality.findings import Finding
from batch.quality.measures import measures_of
from batch.quality.series import Series
from impressions.core.decay import Float
from impressions.settings.sections.batch import Quality

_DRIFTING = ("impressions", "impressions_per_profile", "plays_per_impression", "dwell_median_s")
_SAME_WAY = 0.8
_SURE = 0.6  # of the noise that one day must exceed: chance does not go one way for ten weeks
_ENOUGH = 0.8  # of `quality.drift_weeks`: there may be no more weeks than those that drift


def drifts(series: Series, limits: Quality) -> Iterator[Finding]:
    """Drifts that reach until the newest day."""
    steps = min(limits.drift_weeks, series.days // 7 - 1)
    if steps < _ENOUGH * limits.drift_weeks or not len(series.segments):
        return
    large = np.nan_to_num(median(series["read"][-7:])) >= limits.min_impressions
    for measure in measures_of(series, limits):
        if measure.name not in _DRIFTING or measure.low is None or measure.high is None:
            continue
        weekly = _weekly(measure.value, steps + 1)
        logs = np.log(np.maximum(weekly, 1e-9))
        slope, total = slope_of(logs), logs[-1] - logs[0]
        same_way = _same_way(logs, slope)
        rests_on = median(measure.rests_on[-7:]) * (1 if measure.kind == "volume" else 7)
        noise = _SURE * limits.sigmas * measure.noise(rests_on, weekly[-1])
        for i in np.flatnonzero(large):
            falls_or_is_ratio = slope[i] < 0 or measure.kind != "volume"
            if not (measure.of(series.segments[i]) and falls_or_is_ratio):
                continue
            enough = abs(slope[i]) >= limits.drift_ratio and same_way[i] >= _SAME_WAY
            if enough and abs(total[i]) > max(limits.drift_weeks * limits.drift_ratio, noise[i]):
                yield _finding(series, measure.name, int(i), weekly, float(slope[i]), steps)


def _finding(
    series: Series, measure: str, i: int, weekly: Float, slope: float, steps: int
) -> Finding:
    last = series.first_day + series.days - 1
    found, before = float(weekly[-1, i]), float(weekly[0, i])
    basis = f"{100 * np.expm1(slope):+.1f} % a week for {steps} weeks"
    return Finding(
        last - 7 * steps, last, series.segments[i], f"{measure}_drift", found, before, found, found,
        steps, basis, blocks=False,
    )  # fmt: skip


def _weekly(values: Float, weeks: int) -> Float:
    """(weeks, segments) medians of the last weeks, oldest first."""
    tail = values[-7 * weeks :].reshape(weeks, 7, -1)
    return np.array([median(week) for week in tail])


def _same_way(logs: Float, slope: Float) -> Float:
    """(segments,) share of all pairs of weeks of which the later one lies the way of the slope."""
    first, second = np.array(list(combinations(range(len(logs)), 2))).T
    with np.errstate(invalid="ignore"):
        same = np.sign(logs[second] - logs[first]) == np.sign(slope)
        return np.asarray(same.mean(axis=0), np.float64)
