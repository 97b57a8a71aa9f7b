"""The measures that are judged: what each is, how it is compared, and from which change on.

    volume   against a line through the weeks (it grows); ratio bounds
    ratio    against the median; ratio bounds. A ratio that is far off for a day is a fault, however
             regular the weeks before were; and one within the bounds is not, however quiet
    share    against the median; a bound on the difference
    shape    the share of impressions that lie in other hours of the day than usual

To be a finding, a deviation exceeds three things: the bound, `quality.sigmas` times the spread of
the weeks before, and as many times the noise of counts so small. Noise is that of people, for
somebody's events are alike: with n impressions, of which profile p has k_p, it is that of
n^2 / sum(k_p^2) people of equal weight (Kish's effective size). Few heavy profiles are few people,
however many events they have. Where a person's events are alike only in part (what is played, how
long), it is that of something between the people and the events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from batch.quality.expected import known, median
from batch.quality.segments import Segment
from batch.quality.series import Series
from batch.quality.title_sample import KEPT
from impressions.core.decay import Float
from impressions.settings.sections.batch import Quality

Kind = Literal["volume", "ratio", "share"]
_FEW = 0.2  # so many times the usual share of other locations than the largest
_MONTH = 28
_OF_A_PERSON = (100, 500)  # impressions: may be one busy day of somebody, in a small lake; in any
_OF_OTHERS = 6  # times what a heavy profile among the others has
_OF_BUSIEST = 2.5
_A_CLOCK = 0.5  # of a device's events late, and it is its clock, or nobody knows their time
_PART = 1.5  # of a device type the bounds of volume are so much wider, in logarithms
_ALIKE = 1 / 3  # how far a person's events agree in what is played, where, and how long


Noise = Callable[[Float, Float], Float]


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
        blocks_from: of devices; a change from which it blocks all the same.
    """

    name: str
    kind: Kind
    value: Float
    rests_on: Float
    noise: Noise
    low: float | None
    high: float | None
    of: Callable[[Segment], bool] = lambda segment: True
    blocks: bool = True
    blocks_from: float | None = None


def measures_of(series: Series, limits: Quality) -> list[Measure]:
    """All that are compared with weeks before, except the hours."""
    return [
        *_volumes(series, limits),
        *_ratios(series, limits),
        *_shares(series, limits),
        _new_titles(series, limits),
    ]


def people_of(series: Series) -> Float:
    """(days, segments) people of equal weight that would vary as much; NaN where nothing came."""
    return _over(series["impressions"], _weight(series))


def _weight(series: Series) -> Float:
    """(days, segments) impressions of the profile that a random impression is of, on average."""
    came, squares = series["impressions"], series["squares"]
    mean = _over(came, series["profiles"])
    weight = np.where(squares > 0, _over(squares, came), mean)  # rows that do not say it
    return np.where(np.isnan(weight), weight[:, :1], weight)


def _events_of(series: Series) -> Float:
    """(days, segments) events that would vary as much, where people's are alike in part."""
    return series["impressions"] / (1 + (np.maximum(_weight(series), 1.0) - 1) * _ALIKE)


def _came(series: Series, least: int) -> Float:
    """(days, segments) impressions, at most, of segments that were pooled that day as well."""
    came = series["impressions"].copy()
    for grouping in {one.grouping for one in series.segments}:
        mine = [i for i, one in enumerate(series.segments) if one.grouping == grouping]
        pooled = [i for i in mine if series.segments[i].is_pooled]
        others = known(came[:, pooled]).sum(axis=1)
        most = np.minimum(others, least - 1)[:, None]
        came[:, mine] = np.where(np.isnan(came[:, mine]), most, came[:, mine])
    return came


def _volumes(series: Series, limits: Quality) -> list[Measure]:
    weight, came = _weight(series), _came(series, limits.min_impressions)

    def noise(n: Float, expected: Float) -> Float:
        return np.sqrt(1.2 * np.maximum(n, 1) / np.maximum(expected, 1))

    def place(segment: Segment) -> bool:
        return segment.grouping == ("location",) and not segment.is_pooled

    def kind(segment: Segment) -> bool:
        return segment.grouping == ("device_type",) and not segment.is_pooled

    low, high = limits.volume_min_ratio, limits.volume_max_ratio
    return [
        Measure("impressions", "volume", came, weight, noise, low, high, lambda s: s.is_all),
        Measure("impressions", "volume", came, weight, noise, low**_PART, high**_PART, kind),
        Measure("impressions", "volume", came, weight, noise, 0.05, None, place),
    ]


def _ratios(series: Series, limits: Quality) -> list[Measure]:
    came, profiles = series["impressions"], series["profiles"]
    people, events = people_of(series), _events_of(series)

    def by_play(n: Float, expected: Float) -> Float:
        return np.sqrt(1.3 * np.maximum(1 - expected, 0.1) / np.maximum(n * expected, 0.1))

    def both(name: str, value: Float, n: Float, noise: Noise, bound: float) -> Measure:
        return Measure(name, "ratio", value, n, noise, 1 / bound, bound)

    often, bound = _over(came, profiles), limits.per_profile_ratio
    result = [
        Measure(
            "impressions_per_profile", "ratio", often, people, _root(1.5), 1 / bound, bound,
            of=_is_no_location,
        ),
        both("dwell_median_s", series["dwell_median_s"], events, _root(2), limits.dwell_ratio),
        both("dwell_p99_s", series["dwell_p99_s"], events, _root(12), limits.dwell_p99_ratio),
    ]  # fmt: skip
    others = _over(came - series["top_location"], came)
    result.append(
        Measure("other_locations", "ratio", others, events, by_play, _FEW, None, _is_no_location)
    )
    if limits.expect_plays:
        plays = _over(series["plays"], came)
        result.append(both("plays_per_impression", plays, events, by_play, limits.plays_ratio))
    return result


def _shares(series: Series, limits: Quality) -> list[Measure]:
    came, read = series["impressions"], series["read"]
    people, events = people_of(series), _events_of(series)
    weight = np.maximum(_weight(series), 1.0)

    def noise(n: Float, expected: Float) -> Float:
        sure = np.clip(expected, 0.02, 0.98)
        return np.sqrt(1.3 * sure * (1 - sure) / np.maximum(n, 1))

    def by_person(n: Float, expected: Float) -> Float:
        return n / limits.sigmas

    def rise(
        name: str, count: str, of: Float, rests_on: Float, bound: float, blocks: bool = True
    ) -> Measure:
        value = _over(series[count], of)
        return Measure(f"share_{name}", "share", value, rests_on, noise, None, bound, blocks=blocks)

    change = limits.share_change
    zero = _over(series["zero_dwell"], came)
    return [
        replace(rise("repeated", "repeated", came, people, change), of=_is_no_location),
        replace(rise("again", "again", came, people, change), of=_is_no_location),
        rise("clamped", "clamped", came, people, change),
        replace(rise("late", "late", came, people, change, blocks=False), blocks_from=_A_CLOCK),
        rise("duplicates", "duplicates", read, read / weight, 2 * change),
        rise("rejected", "rejected_rows", read, _over(read, 1 + (weight - 1) * _ALIKE),
             limits.rejected_change),
        rise("top_location", "top_location", came, events, limits.location_change),
        replace(
            rise("largest_profile", "largest", came, _heavy(series, limits.largest_profile_share),
                limits.largest_profile_share),
            noise=by_person,
            of=_is_no_location,
        ),
        Measure("share_zero_dwell", "share", zero, events, noise, -2 * change, 2 * change),
    ]  # fmt: skip


def _heavy(series: Series, bound: float) -> Float:
    """(days, segments) the share that a person may have beside what is usual, the largest of:

    100 impressions; so many as are the bound of the whole day, and 500 at most; six times what a
    heavy profile among the others has; 2.5 times what the busiest of a day usually has.
    """
    came, largest = series["impressions"], series["largest"]
    others = np.maximum(series["squares"] - largest**2, 0.0)
    weight = _over(others, came - largest)
    busiest = np.array([
        [median(known(largest[max(0, day - _MONTH) : day, 0])[:, None])[0]]
        for day in range(len(came))
    ]).reshape(-1, 1)  # fmt: skip
    person = np.clip(bound * known(came[:, :1]), *_OF_A_PERSON)
    person = np.fmax(person, np.fmax(_OF_OTHERS * known(weight), _OF_BUSIEST * busiest))
    return _over(person, came)


def _is_no_location(segment: Segment) -> bool:
    return segment.location is None


def _new_titles(series: Series, limits: Quality) -> Measure:
    """Of a segment: how much more of its titles are new than of those that it does not have. When
    a catalogue grows, everybody has titles that nobody had; a producer that sends wrong ones is
    alone with them. Not of locations: one may be there to show what has just come."""
    new, titles = series["new_titles"], series["titles"]
    of_others = _over(new[:, :1] - new, titles[:, :1] - titles)
    value = np.maximum(_over(new, titles) - known(of_others), 0.0)
    value[:7] = np.nan  # everything is new where nothing is known
    of_sample = np.minimum(1.0, _over(np.array(KEPT), titles[:, :1]))  # what is counted by
    return Measure(
        "share_new_titles", "share", value, titles * of_sample, _root(1), None,
        limits.new_titles_change, of=_is_no_location,
    )  # fmt: skip


def _root(times: float) -> Noise:
    """Of a mean of n observations, each of which varies by so many times what is expected."""
    return lambda n, expected: times / np.sqrt(np.maximum(n, 1))


def _over(count: Float, of: Float) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Float = np.where(of > 0, count / of, np.nan)
    return result
