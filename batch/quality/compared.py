"""Days of one measure against the weeks before them: which values deviate, and by how much. Pure.

    three weeks and more   the median of the same weekday, up to `quality.weeks` of them
    fewer                  that median and the one of the seven days right before; a finding
                           deviates from both
    no weeks               the days right before, and the absolute rules (absolute.py)
    a segment that is new  what everything of that day's history says, with wide bounds: a new app
                           version with dwell in milliseconds is found on its first day

The very first day is never history: most often it is a part of a day. What was pooled is kept and
never judged: which segments are in it changes from day to day.

Many days are compared at a time: arrays are (days, segments), and each day has its own history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batch.quality import expected as what
from batch.quality.expected import Expected
from batch.quality.findings import Finding, weekday
from batch.quality.measures import Measure
from batch.quality.series import Series
from impressions.core.decay import Float, Int
from impressions.settings.sections.batch import Quality

Mask = NDArray[np.bool_]
STEADY_WEEKS, UNSTEADY = 5, 1.4
"""With fewer weeks the bounds of volume are so much wider, in logarithms: 0.55 instead of 0.65."""
_NO_WEEKS = 2.0
"""Times the bound, in logarithms, where the days before are all there is: other weekdays."""
_SURE_OF_NOISE = 0.6
"""With so many weeks their spread says how restless a segment is; noise matters less."""
FOREIGN_RATIO, FOREIGN_SHARE = 12.0, 0.5
"""Bounds of a segment without history of its own, compared with everything."""


@dataclass(frozen=True)
class Compared:
    """A measure of n days.

    Attributes:
        days: (n,) which.
        usual, recent: what the weeks and the days before say, (n, segments).
        bad: (n, segments) what deviates.   foreign: what does from all traffic, being new.
    """

    measure: Measure
    days: Int
    usual: Expected
    recent: Expected
    bad: Mask
    foreign: Mask


def compared(
    series: Series, measure: Measure, history: Float, days: Int, limits: Quality
) -> Compared:
    """What of a measure is not like the days before.

    Args:
        history: (all days, segments) of the measure, NaN left out.
        days: (n,) which are judged.
    """
    weeks, before = what.weeks_before(history, days, limits.weeks), what.days_before(history, days)
    usual, recent = _expected(measure, weeks), _recent(measure, before)
    own = _deviates(measure, usual, days, limits)
    if measure.kind == "volume":  # a line through few or restless weeks leads anywhere
        own &= _deviates(measure, _last(weeks), days, limits) | (usual.weeks == 0)
    near = _deviates(measure, recent, days, limits, np.where(usual.weeks == 0, _NO_WEEKS, 1.0))
    few, some_days = usual.weeks < what.TREND_WEEKS, recent.weeks >= 2
    first = np.where(some_days, near & (own | (usual.weeks == 0)), own)
    bad = np.where(few, first, own) & _enough(series, measure, usual, recent, days, limits)
    bad &= _unlike_days(measure, before, days)
    foreign = _foreign(measure, usual, recent, days, limits, series)
    judged = np.array([not s.is_pooled and measure.of(s) for s in series.segments])
    return Compared(measure, days, usual, recent, bad & judged, foreign & judged)


def findings_in(series: Series, of: Compared, row: int) -> Iterator[Finding]:
    """Of one of the days."""
    measure, day = of.measure, int(of.days[row])
    usual, recent = of.usual, of.recent
    for i in np.flatnonzero(of.bad[row] | of.foreign[row]).tolist():
        if of.foreign[row, i] and not of.bad[row, i]:
            at, basis, weeks = 0, "all traffic; this segment is new", int(usual.weeks[row, 0])
            by = usual if weeks else recent
        else:
            weeks = int(usual.weeks[row, i])
            at, by = i, usual if weeks else recent
            basis = _basis(series.first_day + day, weeks, int(recent.weeks[row, i]), measure)
        yield _finding(series, measure, day, i, float(by.value[row, at]), weeks, basis)


def _finding(
    series: Series, measure: Measure, day: int, i: int, value: float, weeks: int, basis: str
) -> Finding:
    found, number = float(what.known(measure.value[day, i])), series.first_day + day
    segment = series.segments[i]
    of_device = segment.location is None and not segment.is_all
    surely = measure.blocks_from is not None and found - value > measure.blocks_from
    return Finding(
        number, number, segment, measure.name, found, value, found, found, weeks, basis,
        measure.blocks or (of_device and surely),
    )  # fmt: skip


def _basis(day: int, weeks: int, recent: int, measure: Measure) -> str:
    if not weeks:
        return f"median of the {recent} days before; no weeks of history yet"
    name = weekday(day)
    plural = f"{weeks} {name}s" if weeks > 1 else f"1 {name}"
    if weeks < what.TREND_WEEKS:
        return f"{plural}, and {recent} days before"
    return f"{'trend' if measure.kind == 'volume' else 'median'} of {plural}"


def _expected(measure: Measure, history: Float) -> Expected:
    if measure.kind == "volume":
        return what.with_trend(history)
    return what.from_weeks_log(history) if measure.kind == "ratio" else what.from_weeks(history)


def _last(weeks: Float) -> Expected:
    """The newest known week; it says nothing of the spread."""
    known = ~np.isnan(weeks)
    newest = np.take_along_axis(weeks, known.argmax(axis=0)[None], axis=0)[0]
    return Expected(newest, np.zeros(newest.shape), np.asarray(known.any(axis=0), np.int64))


def _recent(measure: Measure, before: Float) -> Expected:
    return what.from_weeks(before) if measure.kind == "share" else what.from_weeks_log(before)


def _unlike_days(measure: Measure, before: Float, days: Int) -> Mask:
    """(days, segments) not like any of the days right before, by half of the bound: a Monday that
    is a holiday is like a Sunday. Volume is judged without it."""
    unlike = np.ones(before.shape[1:], np.bool_)
    if measure.kind == "volume":
        return unlike
    high, low = (bound / 2 for bound in _bounds(measure))
    for one in before:
        moved = _moved(measure, measure.value[days], one)
        with np.errstate(invalid="ignore"):
            unlike &= np.isnan(moved) | (moved > high) | (moved < -low)
    return unlike


def _deviates(
    measure: Measure, by: Expected, days: Int, limits: Quality, times: float | Float = 1.0
) -> Mask:
    """(days, segments) beyond the bound (so many times it), the spread and the noise."""
    moved = _moved(measure, measure.value[days], by.value)
    spread = np.where(by.weeks >= what.TREND_WEEKS, by.spread, 0.0)
    noise = measure.noise(what.known(measure.rests_on[days]), what.known(by.value))
    sure = np.where(by.weeks >= STEADY_WEEKS, _SURE_OF_NOISE, 1.0)
    slack = limits.sigmas * np.maximum(what.known(spread), sure * noise)
    high, low = (bound * times for bound in _bounds(measure))
    if measure.kind == "volume":
        wide = np.where(by.weeks < STEADY_WEEKS, UNSTEADY, 1.0)
        high, low = high * wide, low * wide
    with np.errstate(invalid="ignore"):
        return (moved > np.maximum(high, slack)) | (moved < -np.maximum(low, slack))


def _bounds(measure: Measure) -> tuple[float | Float, float | Float]:
    """Up and down, both positive, in the unit of `_moved`."""
    if measure.kind == "share":
        return measure.high or np.inf, -measure.low if measure.low else np.inf
    return (
        np.log(measure.high) if measure.high else np.inf,
        -np.log(measure.low) if measure.low else np.inf,
    )


def _moved(measure: Measure, value: Float, by: Float) -> Float:
    """How far a value lies from the one expected: a difference, or a logarithm of the ratio."""
    if measure.kind == "share":
        return value - by
    tiny = 0.5 if measure.kind == "volume" else 1e-4
    value = what.known(value) if measure.kind == "volume" else value
    return np.log(np.maximum(value, tiny)) - np.log(np.maximum(by, tiny))


def _enough(
    series: Series, measure: Measure, usual: Expected, recent: Expected, days: Int, limits: Quality
) -> Mask:
    """(days, segments) whether the counts are large enough to say anything."""
    if measure.kind != "volume":
        return what.known(series["read"][days]) >= limits.min_impressions
    by = np.where(usual.weeks > 0, usual.value, recent.value)
    least = np.where(np.arange(by.shape[1]) == 0, 1, 3) * limits.min_impressions
    return what.known(np.fmax(by, measure.value[days])) >= least


def _foreign(
    measure: Measure,
    usual: Expected,
    recent: Expected,
    days: Int,
    limits: Quality,
    series: Series,
) -> Mask:
    """(days, segments) devices without any history that are far from everything else."""
    device = np.array([s.location is None and not s.is_all for s in series.segments])
    if measure.kind == "volume" or measure.name in ("share_top_location", "share_late"):
        return np.zeros(usual.value.shape, np.bool_)
    new = (usual.weeks == 0) & (recent.weeks < 2)
    by = np.where(usual.weeks[:, :1] > 0, usual.value[:, :1], recent.value[:, :1])  # of all traffic
    moved = _moved(measure, measure.value[days], by)
    bound = FOREIGN_SHARE if measure.kind == "share" else np.log(FOREIGN_RATIO)
    noise = limits.sigmas * measure.noise(what.known(measure.rests_on[days]), what.known(by))
    up, down = measure.high is not None, measure.low is not None
    beyond = (moved > max(bound, 0)) & up | (moved < -bound) & down
    with np.errstate(invalid="ignore"):
        sure = np.abs(moved) > noise
    enough = _enough(series, measure, usual, recent, days, limits)
    return np.asarray(new & beyond & device & sure & enough & np.isfinite(by), np.bool_)
