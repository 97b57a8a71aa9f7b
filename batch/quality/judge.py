"""Days against the same weekday of the weeks before: what is not like them is a finding. Pure.

    compared.py    what of a measure deviates from the weeks, or from the days right before
    hours.py       the same of the hours of the day
    absolute.py    what is wrong without any week to compare with

A value that is a finding is left out of the history of later days, unless it was accepted, so a
broken week does not make the next good one look wrong. Days are judged many at a time, as if
nothing were found in them; what comes after a day that changed the history is judged again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from batch.quality.absolute import absolute_rules
from batch.quality.acceptance import Acceptance, covered
from batch.quality.attribution import drifts_narrowed, narrowed
from batch.quality.compared import compared, findings_in
from batch.quality.day_rows import DayRow
from batch.quality.drift import drifts
from batch.quality.expected import weeks_before
from batch.quality.findings import Finding, runs
from batch.quality.hours import hours_moved
from batch.quality.measures import Measure, measures_of
from batch.quality.series import Series, series_of
from batch.quality.since import with_hours
from impressions.core.decay import Float
from impressions.settings.sections.batch import Quality

_MOST_DAYS = 64
"""That are judged at a time."""


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
    history = _History.of(series, measures_of(series, limits))
    result: list[Finding] = []
    start, count = 0, _MOST_DAYS
    while start < series.days:
        days = range(start, min(start + count, series.days))
        start, count = days.stop, min(2 * count, _MOST_DAYS)
        for day, found in zip(days, _of_days(series, history, days, limits), strict=True):
            found += _absolute(series, day, limits, history, found)
            result += narrowed(found)
            if history.forget([f for f in found if not covered(f, accepted)], series, day):
                start, count = day + 1, 1  # the next day may be like this one
                break
    return result


@dataclass(frozen=True)
class _History:
    """What later days are compared with.

    Attributes:
        measures: as they are.   values: of each measure, (days, segments), NaN left out.
        hours: (days, segments, 24) shares, NaN left out.
    """

    measures: Sequence[Measure]
    values: Sequence[Float]
    hours: Float

    @staticmethod
    def of(series: Series, measures: Sequence[Measure]) -> _History:
        absent = np.isnan(series["impressions"])
        values = [np.where(absent, np.nan, measure.value) for measure in measures]
        return _History(measures, values, series.hours.copy())

    @property
    def by_name(self) -> dict[str, Float]:
        """Values by the name of a measure; there are several of impressions, which are the same."""
        return {m.name: v for m, v in zip(self.measures, self.values, strict=True)}

    def forget(self, found: Sequence[Finding], series: Series, day: int) -> bool:
        """Takes what is a finding out of the history of later days; whether that changed it."""
        place = {segment: i for i, segment in enumerate(series.segments)}
        for one in found:
            for measure, values in zip(self.measures, self.values, strict=True):
                if one.measure == measure.name and one.blocks:
                    values[day, place[one.segment]] = np.nan
            if one.measure == "hours_moved":
                self.hours[day, place[one.segment]] = np.nan
        return any(one.blocks or one.measure == "hours_moved" for one in found)


def _of_days(
    series: Series, history: _History, days: range, limits: Quality
) -> list[list[Finding]]:
    """Of each day, what is not like the days before it."""
    at = np.array(days)
    every = [
        compared(series, measure, values, at, limits)
        for measure, values in zip(history.measures, history.values, strict=True)
    ]
    moved = hours_moved(series, history.hours, history.by_name["impressions"], at, limits)
    return [
        [one for of in every for one in findings_in(series, of, row)] + moved[row]
        for row in range(len(days))
    ]


def _absolute(
    series: Series, day: int, limits: Quality, history: _History, found: Sequence[Finding]
) -> list[Finding]:
    """What absolute rules say of segments without weeks of history, and nothing said yet."""
    reported = {(one.measure, one.segment) for one in found}
    values, at = history.by_name, np.array([day])

    def is_blank(name: str, segment: int) -> bool:
        return bool(np.isnan(weeks_before(values[name][:, segment], at, limits.weeks)).all())

    rules = absolute_rules(series, day, limits, is_blank)
    return [one for one in rules if (one.measure, one.segment) not in reported]
