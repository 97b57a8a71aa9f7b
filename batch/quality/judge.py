"""Days against the same weekday of the weeks before: what is not like them is a finding. Pure.

    three weeks and more   the median of the same weekday, up to `quality.weeks` of them
    fewer                  that median and the one of the seven days right before; a finding
                           deviates from both
    no weeks               the days right before, and the absolute rules (absolute.py)
    a segment that is new  what everything of that day's history says, with wide bounds: a new app
                           version with dwell in milliseconds is found on its first day

Days are judged in order. A value that is a finding is left out of the history of later days, unless
it was accepted, so a broken week does not make the next good one look wrong. The very first day is
never history: most often it is a part of a day. What was pooled is kept and never judged: which
segments are in it changes from day to day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batch.quality import expected as what
from batch.quality.absolute import absolute_rules
from batch.quality.acceptance import Acceptance, covered
from batch.quality.attribution import drifts_narrowed, narrowed
from batch.quality.day_rows import DayRow
from batch.quality.drift import drifts
from batch.quality.expected import Expected
from batch.quality.findings import Finding, runs, weekday
from batch.quality.hours import hours_moved
from batch.quality.measures import Measure, measures_of
from batch.quality.series import Series, series_of
from batch.quality.since import with_hours
from impressions.core.decay import Float
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
class Verdict:
    """Findings that stand, and those that somebody accepted; runs of days."""

    findings: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    days: int


def judge(
    rows: Sequence[DayRow],
    until_day: int,
    limits: Quality,
    accepted: Collection[Acceptance] = (),
    from_day: int = 0,
) -> Verdict:
    """Findings of days in [from_day, until_day); earlier rows are history."""
    since = from_day - 2 * 7 * limits.weeks  # weeks that are history, and those they rest on
    rows = [row for row in rows if since <= row.day < until_day]
    if not rows:
        return Verdict((), (), 0)
    series = series_of(rows, until_day)
    every = findings_of(series, limits, accepted)
    found = with_hours([one for one in every if one.day >= from_day], rows, every)
    well = [one for one in found if covered(one, accepted)]
    stand = [one for one in found if not covered(one, accepted)]
    slow = drifts_narrowed(list(drifts(series, limits)))
    named = [one for one in slow if not covered(one, accepted)]
    judged = max(0, until_day - max(series.first_day, from_day))
    return Verdict((*runs(stand), *named), tuple(runs(well)), judged)


def findings_of(series: Series, limits: Quality, accepted: Collection[Acceptance]) -> list[Finding]:
    """Findings of single days, each day's narrowed to where its fault lies."""
    measures = measures_of(series, limits)
    absent = np.isnan(series["impressions"])
    clean = [np.where(absent, np.nan, measure.value) for measure in measures]
    hours = series.hours.copy()
    result: list[Finding] = []
    for day in range(series.days):
        found = [
            one
            for measure, history in zip(measures, clean, strict=True)
            for one in _of_day(series, measure, history, day, limits)
        ]
        volumes = next(h for m, h in zip(measures, clean, strict=True) if m.kind == "volume")
        found += hours_moved(series, hours, volumes, day, limits)
        found += _absolute(series, day, limits, measures, clean, found)
        _forget(series, [f for f in found if not covered(f, accepted)], measures, clean, hours, day)
        result += narrowed(found)
    return result


def _absolute(
    series: Series,
    day: int,
    limits: Quality,
    measures: Sequence[Measure],
    clean: Sequence[Float],
    found: Sequence[Finding],
) -> list[Finding]:
    """What absolute rules say of segments without weeks of history, and nothing said yet."""
    weeks = what.weeks_before(day, limits.weeks)
    pairs = zip(measures, clean, strict=True)
    blank = {m.name: np.asarray(np.isnan(past[weeks]).all(axis=0)) for m, past in pairs}
    reported = {(one.measure, one.segment) for one in found}
    rules = absolute_rules(series, day, limits, lambda name, i: bool(blank[name][i]))
    return [one for one in rules if (one.measure, one.segment) not in reported]


def _of_day(
    series: Series, measure: Measure, history: Float, day: int, limits: Quality
) -> Iterator[Finding]:
    weeks = what.weeks_before(day, limits.weeks)
    usual = _expected(measure, history[weeks])
    recent = _recent(measure, history, day)
    own = _deviates(measure, usual, day, limits)
    if measure.kind == "volume":  # a line through few or restless weeks leads anywhere
        own &= _deviates(measure, _last(history[weeks]), day, limits) | (usual.weeks == 0)
    near = _deviates(measure, recent, day, limits, np.where(usual.weeks == 0, _NO_WEEKS, 1.0))
    few, some_days = usual.weeks < what.TREND_WEEKS, recent.weeks >= 2
    first = np.where(some_days, near & (own | (usual.weeks == 0)), own)
    bad = np.where(few, first, own) & _enough(series, measure, usual, recent, day, limits)
    bad &= _unlike_days(measure, history, day)
    foreign = _foreign(measure, usual, recent, day, limits, series)
    for i in np.flatnonzero(bad | foreign).tolist():
        segment = series.segments[i]
        if segment.is_pooled or not measure.of(segment):
            continue
        if foreign[i] and not bad[i]:
            at, basis, weeks_of = 0, "all traffic; this segment is new", int(usual.weeks[0])
            by = usual if weeks_of else recent
        else:
            at, by, weeks_of = i, usual if usual.weeks[i] else recent, int(usual.weeks[i])
            basis = _basis(series.first_day + day, weeks_of, int(recent.weeks[i]), measure)
        yield _finding(series, measure, day, i, float(by.value[at]), weeks_of, basis)


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


def _last(history: Float) -> Expected:
    """The newest known week; it says nothing of the spread."""
    known = ~np.isnan(history)
    weeks = np.asarray(known.any(axis=0), np.int64)
    if not len(history):
        return Expected(np.full(history.shape[1], np.nan), np.zeros(history.shape[1]), weeks)
    newest = history[known.argmax(axis=0), np.arange(history.shape[1])]
    return Expected(newest, np.zeros(len(newest)), weeks)


def _recent(measure: Measure, history: Float, day: int) -> Expected:
    days = history[max(1, day - what.RECENT_DAYS) : day]
    return what.from_weeks(days) if measure.kind == "share" else what.from_weeks_log(days)


def _unlike_days(measure: Measure, history: Float, day: int) -> Mask:
    """(segments,) not like any of the days right before, by half of the bound: a Monday that is a
    holiday is like a Sunday. Volume is judged without it."""
    unlike = np.ones(history.shape[1], np.bool_)
    if measure.kind == "volume":
        return unlike
    high, low = (bound / 2 for bound in _bounds(measure))
    for before in history[max(1, day - what.RECENT_DAYS) : day]:
        moved = _moved(measure, measure.value[day], before)
        with np.errstate(invalid="ignore"):
            unlike &= np.isnan(moved) | (moved > high) | (moved < -low)
    return unlike


def _deviates(
    measure: Measure, by: Expected, day: int, limits: Quality, times: float | Float = 1.0
) -> Mask:
    """(segments,) beyond the bound (so many times it), the spread and the noise."""
    moved = _moved(measure, measure.value[day], by.value)
    spread = np.where(by.weeks >= what.TREND_WEEKS, by.spread, 0.0)
    noise = measure.noise(what.known(measure.rests_on[day]), what.known(by.value))
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
    series: Series, measure: Measure, usual: Expected, recent: Expected, day: int, limits: Quality
) -> Mask:
    """(segments,) whether the counts are large enough to say anything."""
    if measure.kind != "volume":
        return what.known(series["read"][day]) >= limits.min_impressions
    by = np.where(usual.weeks > 0, usual.value, recent.value)
    least = np.where(np.arange(len(by)) == 0, 1, 3) * limits.min_impressions
    return what.known(np.fmax(by, measure.value[day])) >= least


def _foreign(
    measure: Measure, usual: Expected, recent: Expected, day: int, limits: Quality, series: Series
) -> Mask:
    """(segments,) of devices without any history that are far from everything else."""
    new = (usual.weeks == 0) & (recent.weeks < 2)
    by = usual.value[0] if usual.weeks[0] else recent.value[0]
    moved = _moved(measure, measure.value[day], np.full(len(new), by))
    bound = FOREIGN_SHARE if measure.kind == "share" else np.log(FOREIGN_RATIO)
    noise = limits.sigmas * measure.noise(
        what.known(measure.rests_on[day]), np.full(len(new), float(what.known(np.asarray(by))))
    )
    up, down = measure.high is not None, measure.low is not None
    beyond = (moved > max(bound, 0)) & up | (moved < -bound) & down
    device = np.array([s.location is None and not s.is_all for s in series.segments])
    comparable = measure.kind != "volume" and measure.name not in (
        "share_top_location",
        "share_late",
    )
    with np.errstate(invalid="ignore"):
        sure = np.abs(moved) > noise
    few = _enough(series, measure, usual, recent, day, limits)
    return np.asarray(
        new & beyond & device & sure & few & comparable & bool(np.isfinite(by)), np.bool_
    )


def _forget(
    series: Series,
    found: Sequence[Finding],
    measures: Sequence[Measure],
    clean: Sequence[Float],
    hours: Float,
    day: int,
) -> None:
    """Takes what is a finding out of the history of later days."""
    place = {segment: i for i, segment in enumerate(series.segments)}
    for one in found:
        for measure, history in zip(measures, clean, strict=True):
            if one.measure == measure.name and one.blocks:
                history[day, place[one.segment]] = np.nan
        if one.measure == "hours_moved":
            hours[day, place[one.segment]] = np.nan
