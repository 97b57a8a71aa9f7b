"""Since which hour of its first day a finding is true, and until which; pure, from counts by hour.

Per segment and hour of ingest there are nine counts (counts.BY_HOUR). They are compared with those
of the same weekday of the weeks before: the hours of a fault are the interval in which the
deviation lies, and in which it is the same. Nothing is said where the hours do not show it:

    inside     seven tenths of the events lie in hours that deviate by at least half of the fault
    outside    seven tenths lie in hours that deviate by less than half of it, a quarter on average
    both       have events, in the usual weeks as well
    all hours  three fifths of their squared deviations are that of the interval

Profiles are not counted by hour, that would be a second sort: what was sent more often is seen in
impressions. Which hour a rejected row was of is not known: what was refused lacks in impressions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from batch.quality.day_rows import DayRow
from batch.quality.findings import Finding
from batch.quality.segments import Segment
from impressions.core.decay import Float

Interval = tuple[int, int]
"""[since, until) hours, UTC."""

_SHARES = {
    "plays_per_impression": "plays",
    "share_repeated": "repeated",
    "share_again": "again",
    "share_clamped": "clamped",
    "share_late": "late",
    "share_zero_dwell": "zero_dwell",
    "dwell_median_s": "dwell_bins",
    "dwell_p99_s": "dwell_bins",
    "share_top_location": "location_0",
    "other_locations": "location_0",
}
_COUNTS = ("impressions", "impressions_per_profile", "share_rejected", "hours_moved")
_LEAST_CHANGE = 0.3  # of a count; what is less may be the day
_LEAST_EVENTS = 30
_EXPLAINED = 0.6  # of the squares of all hours' deviations
_MOST_OUTSIDE, _SURE, _HALF = 0.25, 0.7, 0.5
_WEEKS = 8


def with_hours(
    found: Sequence[Finding], rows: Collection[DayRow], unusual: Collection[Finding]
) -> list[Finding]:
    """Findings of single days with the hours of their faults, where the rows show them.

    Args:
        unusual: findings of all days; a day is no history of what was found in it.
    """
    if not found:
        return []
    wanted = {one.segment for one in found}
    known = {(row.day, row.segment): row for row in rows if row.segment in wanted}
    bad = {(one.day, one.segment, one.measure) for one in unusual}
    return [_with_hours(one, known, bad) for one in found]


def _with_hours(
    one: Finding,
    known: Mapping[tuple[int, Segment], DayRow],
    bad: Collection[tuple[int, Segment, str]],
) -> Finding:
    today = known.get((one.day, one.segment))
    weeks = [one.day - 7 * week for week in range(1, _WEEKS + 1)]
    days = [day for day in weeks if (day, one.segment, one.measure) not in bad]
    past = [known[day, one.segment] for day in days if (day, one.segment) in known]
    past = [row for row in past if row.by_hour]
    if today is None or not today.by_hour or not past:
        return one
    hours = hours_of(one.measure, today, past)
    return one if hours is None else replace(one, since_hour=hours[0], until_hour=hours[1])


def hours_of(measure: str, today: DayRow, past: Sequence[DayRow]) -> Interval | None:
    """The hours of the fault of one measure; None where they do not show it, or all do."""
    if share := _SHARES.get(measure):
        return _of_share(share, today, past)
    if measure not in _COUNTS:
        return None
    hours = _of_count(today, past)
    return _of_share("late", today, past) if hours is None and measure == "hours_moved" else hours


def _of_share(name: str, today: DayRow, past: Sequence[DayRow]) -> Interval | None:
    """Of a count as a share of another."""
    usual_of = np.sum([_base(name, row) for row in past], axis=0)
    usual = np.sum([_hourly(name, row) for row in past], axis=0)
    whole = usual.sum() / max(usual_of.sum(), 1.0)
    enough = usual_of >= _LEAST_EVENTS
    share = np.where(enough, usual / np.maximum(usual_of, 1.0), whole)
    base = _base(name, today)
    return interval(_hourly(name, today) - share * base, base)


def _of_count(today: DayRow, past: Sequence[DayRow]) -> Interval | None:
    """Of impressions against the same hour of the weeks before."""
    usual = np.median([_hourly("impressions", row) for row in past], axis=0)
    deviation = _hourly("impressions", today) - usual
    return interval(deviation, usual, _LEAST_CHANGE)


def interval(deviation: Float, base: Float, least: float = 0.0) -> Interval | None:
    """Where the deviation lies, which is the same part of `base` there, and none elsewhere.

    Args:
        deviation, base: (24,) events.
        least: of the part.
    """
    sums, bases = (np.concatenate([[0.0], np.cumsum(of)]) for of in (deviation, base))
    best, gain = (0, 24), 0.0
    for since in range(24):
        for until in range(since + 1, 25):
            inside = bases[until] - bases[since]
            explained = (sums[until] - sums[since]) ** 2 / inside if inside > 0 else 0.0
            if explained > gain:
                best, gain = (since, until), explained
    whole = float((deviation**2 / np.maximum(base, 1.0)).sum())
    tells = gain > _EXPLAINED * whole
    return best if tells and _is_clear(deviation, base, best, least) else None


def _is_clear(deviation: Float, base: Float, hours: Interval, least: float) -> bool:
    within = (np.arange(24) >= hours[0]) & (np.arange(24) < hours[1])
    if min(base[within].sum(), base[~within].sum()) < _LEAST_EVENTS:
        return False
    part = deviation[within].sum() / base[within].sum()
    outside = deviation[~within].sum() / base[~within].sum()
    deviates = deviation / np.maximum(base, 1.0) * np.sign(part) >= _HALF * abs(part)
    return bool(
        abs(part) > least
        and abs(outside) <= _MOST_OUTSIDE * abs(part)
        and base[within & deviates].sum() >= _SURE * base[within].sum()
        and base[~within & ~deviates].sum() >= _SURE * base[~within].sum()
    )


def _hourly(name: str, row: DayRow) -> Float:
    return np.array(row.by_hour[name], np.float64)


def _base(name: str, row: DayRow) -> Float:
    """What a count is a share of: dwell, of the impressions that have one."""
    came = _hourly("impressions", row)
    return came - _hourly("zero_dwell", row) if name == "dwell_bins" else came
