"""The measures that are judged: what each is, how it is compared, and from which change on.

    volume   against a line through the weeks (it grows); ratio bounds
    ratio    against the median; ratio bounds. A ratio that is far off for a day is a fault, however
             regular the weeks before were; and one within the bounds is not, however quiet
    share    against the median; a bound on the difference
    shape    the share of impressions that lie in other hours of the day than usual

To be a finding, a deviation exceeds three things: the bound, `quality.sigmas` times the spread of
the weeks before, and as many times the noise of counts so small. The noise of a count of n events
that come in groups, a profile's, is that of n / group of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from batch.quality.segments import ALL, Segment
from batch.quality.series import Series
from impressions.core.decay import Float
from impressions.settings.sections import Quality

Kind = Literal["volume", "ratio", "share"]
_FEW = 0.2  # so many times the usual share of other locations than the largest
_OF_A_PERSON = 20  # impressions: five times as many may be one busy day of somebody


@dataclass(frozen=True)
class Measure:
    """A measure of every day and segment.

    Attributes:
        value: (days, segments).
        rests_on: (days, segments) observations behind a value.
        noise: one standard deviation of a value that rests on n observations, where `expected` is
            expected; of its logarithm, or of the share.
        low, high: bounds, of the ratio or of the difference; None: not judged that way.
        of: whether a segment is judged by it.
        blocks: else a finding is named and holds nothing back.
    """

    name: str
    kind: Kind
    value: Float
    rests_on: Float
    noise: Callable[[Float, Float], Float]
    low: float | None
    high: float | None
    of: Callable[[Segment], bool] = lambda segment: True
    blocks: bool = True


def measures_of(series: Series, limits: Quality) -> list[Measure]:
    """All that are compared with weeks before, except the hours."""
    return [
        *_volumes(series, limits),
        *_ratios(series, limits),
        *_shares(series, limits),
        _new_titles(series, limits),
    ]


def _volumes(series: Series, limits: Quality) -> list[Measure]:
    came = series["impressions"]
    with np.errstate(invalid="ignore", divide="ignore"):
        group = np.nan_to_num(np.nanmax(came / series["profiles"], initial=1.0), posinf=1.0)

    def noise(n: Float, expected: Float) -> Float:
        return np.sqrt(2 * (1 + min(float(group), 50.0)) / np.maximum(expected, 1))

    def whole(segment: Segment) -> bool:
        return segment.grouping in ((), ("device_type",)) and not segment.is_pooled

    def place(segment: Segment) -> bool:
        return segment.grouping == ("location",) and not segment.is_pooled

    low, high = limits.volume_min_ratio, limits.volume_max_ratio
    return [
        Measure("impressions", "volume", came, came, noise, low, high, whole),
        Measure("impressions", "volume", came, came, noise, 0.05, None, place),
    ]


def _ratios(series: Series, limits: Quality) -> list[Measure]:
    came, profiles = series["impressions"], series["profiles"]

    def by_profile(n: Float, expected: Float) -> Float:
        return 2 / np.sqrt(np.maximum(n, 1))

    def by_play(n: Float, expected: Float) -> Float:
        return np.sqrt(3 / np.maximum(n * expected, 1))

    def by_dwell(n: Float, expected: Float) -> Float:
        return 3 / np.sqrt(np.maximum(n, 1))

    def by_tail(n: Float, expected: Float) -> Float:
        return 12 / np.sqrt(np.maximum(n, 1))

    def both(name: str, value: Float, n: Float, noise: Callable, bound: float) -> Measure:  # type: ignore[type-arg]
        return Measure(name, "ratio", value, n, noise, 1 / bound, bound)

    often, bound = _over(came, profiles), limits.per_profile_ratio
    result = [
        Measure(
            "impressions_per_profile", "ratio", often, profiles, by_profile, 1 / bound, bound,
            of=_is_no_location,
        ),
        both("dwell_median_s", series["dwell_median_s"], came, by_dwell, limits.dwell_ratio),
        both("dwell_p99_s", series["dwell_p99_s"], came, by_tail, limits.dwell_p99_ratio),
    ]  # fmt: skip
    others = _over(came - series["top_location"], came)
    result.append(
        Measure("other_locations", "ratio", others, came, by_play, _FEW, None, _is_no_location)
    )
    if limits.expect_plays:
        plays = _over(series["plays"], came)
        result.append(both("plays_per_impression", plays, came, by_play, limits.plays_ratio))
    return result


def _shares(series: Series, limits: Quality) -> list[Measure]:
    came, read = series["impressions"], series["read"]

    def noise(n: Float, expected: Float) -> Float:
        sure = np.clip(expected, 0.02, 0.98)
        return np.sqrt(3 * sure * (1 - sure) / np.maximum(n, 1))

    def by_person(n: Float, expected: Float) -> Float:
        return _OF_A_PERSON / np.maximum(n, 1)

    def rise(name: str, count: str, of: Float, bound: float, blocks: bool = True) -> Measure:
        value = _over(series[count], of)
        return Measure(f"share_{name}", "share", value, of, noise, None, bound, blocks=blocks)

    change = limits.share_change
    zero = _over(series["zero_dwell"], came)
    return [
        replace(rise("repeated", "repeated", came, change), of=_is_no_location),
        rise("clamped", "clamped", came, change),
        rise("late", "late", came, change, blocks=False),
        rise("duplicates", "duplicates", read, 2 * change),
        rise("rejected", "rejected_rows", read, limits.rejected_change),
        rise("top_location", "top_location", came, limits.location_change),
        replace(
            rise("largest_profile", "largest", came, limits.largest_profile_share),
            noise=by_person,
            of=_is_no_location,
        ),
        Measure("share_zero_dwell", "share", zero, came, noise, -2 * change, 2 * change),
    ]


def _is_no_location(segment: Segment) -> bool:
    return segment.location is None


def _new_titles(series: Series, limits: Quality) -> Measure:
    def noise(n: Float, expected: Float) -> Float:
        return np.sqrt(1 / np.maximum(np.minimum(n, 1000), 1))

    value = _over(series["new_titles"], series["titles"])
    value[:7] = np.nan  # everything is new where nothing is known
    bound = limits.new_titles_change
    return Measure(
        "share_new_titles", "share", value, series["titles"], noise, None, bound,
        of=lambda segment: segment == ALL,
    )  # fmt: skip


def _over(count: Float, of: Float) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Float = np.where(of > 0, count / of, np.nan)
    return result
