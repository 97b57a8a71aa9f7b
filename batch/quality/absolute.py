"""What is wrong without any week to compare with. Pure.

    plays_per_impression    0: nobody plays anything (`quality.expect_plays`)
    share_rejected          over ten times `quality.rejected_change`
    share_repeated          twice `quality.share_change`: landed twice
    dwell_median_s          over `quality.dwell_max_median_s`: milliseconds
    share_largest_profile   over `quality.largest_profile_share`, where there are enough profiles

Producers are judged, not locations: there may be one on which nobody ever plays. A day without
events between days with events is judged by the days before it (judge.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from batch.quality.expected import known
from batch.quality.findings import ABSOLUTE, Finding
from batch.quality.series import Series
from impressions.settings.sections.batch import Quality


def absolute_rules(
    series: Series, day: int, limits: Quality, asks: Callable[[str, int], bool]
) -> Iterator[Finding]:
    """Findings of a day; `asks`: whether a measure and a segment have no history to say it."""
    number = series.first_day + day
    large = known(series["read"][day]) >= limits.min_impressions
    for i in np.flatnonzero(large):
        segment = series.segments[i]
        if segment.is_pooled or segment.location is not None:
            continue
        for measure, found, bound, is_bad in _rules(series, day, int(i), limits):
            if is_bad and asks(measure, int(i)):
                yield Finding(
                    number, number, segment, measure, found, bound, found, found, 0, ABSOLUTE
                )


def _rules(
    series: Series, day: int, i: int, limits: Quality
) -> Iterator[tuple[str, float, float, bool]]:
    """(measure, found, bound, whether it is broken)."""

    def at(name: str) -> float:
        return float(known(series[name][day, i]))

    came, read = at("impressions"), at("read")
    enough = came >= limits.min_impressions
    rejected, most = at("rejected_rows") / read, min(0.5, 10 * limits.rejected_change)
    yield "share_rejected", rejected, most, rejected > most
    if not enough:
        return
    plays = at("plays")
    yield "plays_per_impression", 0.0, 0.01, limits.expect_plays and not plays
    repeated = at("repeated") / came
    yield "share_repeated", repeated, 2 * limits.share_change, repeated > 2 * limits.share_change
    dwell = at("dwell_median_s")
    yield "dwell_median_s", dwell, limits.dwell_max_median_s, dwell > limits.dwell_max_median_s
    largest, bound = at("largest") / came, max(
        limits.largest_profile_share, 20 / max(at("profiles"), 1.0), 100 / came
    )  # fmt: skip
    yield "share_largest_profile", largest, bound, largest > bound
