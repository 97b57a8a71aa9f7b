"""The profile of hours of a day against that of the same weekday of the weeks before. Pure.

Their distance is the share of impressions that lack in some hours and are too many in others (total
variation): 0 the same, 1 nothing in common. A clock that is 6 hours off moves a fifth to a half of
them, half a day without events a half. What also moves hours is no fault, and is not counted:

    daylight saving     hours may lie one hour earlier or later, whichever is nearer
    a holiday           a Monday may be like one of the seven days before, a Sunday
    one great evening   hours with more events take none from the others: the distance is what lacks
                        beside the expected number of events, not beside today's share

It is compared with the distance that those weeks have themselves, and with that of so few people:
somebody's events come at a stretch, so people are drawn, not events.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from batch.quality.expected import (
    TREND_WEEKS,
    days_before,
    known,
    median,
    weeks_before,
    with_trend,
)
from batch.quality.findings import Finding, weekday
from batch.quality.measures import people_of
from batch.quality.segments import Segment
from batch.quality.series import Series
from impressions.core.decay import Float, Int
from impressions.settings.sections.batch import Quality

_FEW_WEEKS = 1.5
"""Times the bound, while a spread is not known."""
_OF_PEOPLE = 3.5
_OTHER_DAY = 0.7
"""Times the bound: nearer to a day before, and it is a day like that one."""
_PLACES = (-1, 0, 1)


def hours_moved(
    series: Series, history: Float, volumes: Float, days: Int, limits: Quality
) -> list[list[Finding]]:
    """Of each of these days, the segments whose hours moved.

    Args:
        history: (all days, segments, 24) shares, NaN left out.
        volumes: (all days, segments) impressions, NaN left out.
        days: (n,) which are judged.
    """
    of = _judged(series.segments)
    came = known(series["impressions"][days])[:, of]
    today = (series.hours[days] * _more(series, volumes, days, limits)[..., None])[:, of]
    people, past = known(people_of(series)[days], 1.0)[:, of], history[:, of]
    own, own_bound, own_weeks = _moved(
        today, weeks_before(past, days, limits.weeks), people, limits
    )
    near = _nearest(today, days_before(past, days))
    bound = own_bound * np.where(own_weeks < TREND_WEEKS, _FEW_WEEKS, 1.0)
    bad = (own_weeks > 0) & (own > bound) & (near > _OTHER_DAY * own_bound)
    bad &= came >= limits.min_impressions
    return [
        [
            _finding(series, day, of[i], own[row, i], bound[row, i], own_weeks[row, i])
            for i in np.flatnonzero(bad[row])
        ]
        for row, day in enumerate(days.tolist())
    ]


def _finding(
    series: Series, day: int, segment: int, own: float, bound: float, weeks: int
) -> Finding:
    number, found = series.first_day + day, float(own)
    basis = f"at most, by the hours of {weeks} {weekday(number)}" + ("s" if weeks > 1 else "")
    return Finding(
        number, number, series.segments[segment], "hours_moved", found, float(bound), found, found,
        int(weeks), basis,
    )  # fmt: skip


@lru_cache(maxsize=2)
def _judged(segments: tuple[Segment, ...]) -> Int:
    """Places of the segments that are judged."""
    return np.flatnonzero([s.location is None and not s.is_pooled for s in segments])


def _more(series: Series, volumes: Float, days: Int, limits: Quality) -> Float:
    """(days, segments) how many times the events of a day are those expected, at least 1.

    What is known of everything and of a device type; an app version grows as it is released.
    """
    by = with_trend(weeks_before(volumes, days, limits.weeks))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(by.weeks > 0, series["impressions"][days] / by.value, 1.0)
    ratio = np.maximum(known(ratio, 1.0), 1.0)
    return np.asarray(np.maximum(ratio[:, :1], ratio[:, _device_of(series.segments)]))


@lru_cache(maxsize=2)
def _device_of(segments: tuple[Segment, ...]) -> Int:
    """(segments,) the place of the device type that a segment is of; 0, `all`, for others."""
    place = {segment: i for i, segment in enumerate(segments)}
    of = [Segment(device_type=one.device_type) for one in segments]
    return np.array([place.get(one, 0) for one in of], np.int64)


def _moved(today: Float, past: Float, people: Float, limits: Quality) -> tuple[Float, Float, Int]:
    """(days, segments) each: the distance from the past, the bound that the past sets for it, and
    of how many days that past is."""
    days = np.asarray((~np.isnan(past[..., 0])).sum(axis=0))
    usual = known(median(past))
    usual = usual / np.maximum(usual.sum(axis=-1, keepdims=True), 1e-9)
    spread = known(median(np.abs(past - usual).sum(axis=-1) / 2))
    spread = np.where(days >= TREND_WEEKS, spread, 0.0)
    noise = _OF_PEOPLE / np.sqrt(np.maximum(people, 1.0))
    bound = np.maximum(np.maximum(2.5 * spread, noise + spread / 2), limits.hours_moved)
    return _distance(today, usual), bound, days


def _nearest(today: Float, days: Float) -> Float:
    """(days, segments) the distance from the day before that is most like it; infinite for none."""
    return np.asarray(np.min([known(_distance(today, one), np.inf) for one in days], axis=0))


def _distance(today: Float, usual: Float) -> Float:
    """(days, segments) what lacks of the usual hours; `today` adds to 1, or to more. Where another
    place of the hours explains most of it, it is the distance from there."""
    lacks = [np.maximum(np.roll(usual, by, axis=-1) - today, 0).sum(axis=-1) for by in _PLACES]
    at_place, elsewhere = lacks[1], np.minimum(lacks[0], lacks[2])
    return np.asarray(np.where(elsewhere < at_place / 2, elsewhere, at_place))
