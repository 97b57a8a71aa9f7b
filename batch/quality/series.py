"""The rows of all days side by side: (days, segments) arrays, NaN where a segment has no row.

Days are all from the first with events to the last that is judged, also those without a row. A day
without any row has 0 impressions: that is a fact, the other measures are unknown there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from batch.quality.day_rows import COUNTS, FLOATS, DayRow
from batch.quality.segments import ALL, Segment
from impressions.core.decay import Float

_PLAIN = (*COUNTS, *FLOATS, "read")


@dataclass(frozen=True)
class Series:
    """Attributes:
    first_day: of the arrays' first row.   segments: of their columns, `all` first.
    values: name of a number of `DayRow` -> (days, segments).
    hours: (days, segments, 24) shares.
    """

    first_day: int
    segments: tuple[Segment, ...]
    values: dict[str, Float]
    hours: Float

    @property
    def days(self) -> int:
        return len(self.hours)

    def __getitem__(self, name: str) -> Float:
        return self.values[name]


def series_of(rows: Sequence[DayRow], until_day: int) -> Series:
    """Of rows of days before `until_day`; they may come in any order."""
    rows = [row for row in rows if row.day < until_day]
    segments = _segments(rows)
    place = {segment: i for i, segment in enumerate(segments)}
    first = min((row.day for row in rows), default=until_day)
    shape = (until_day - first, len(segments))
    at = np.array([row.day - first for row in rows], np.int64)
    column = np.array([place[row.segment] for row in rows], np.int64)
    values = {}
    for name in _PLAIN:
        values[name] = np.full(shape, np.nan)
        values[name][at, column] = [getattr(row, name) for row in rows]
    hours = np.full((*shape, 24), np.nan)
    if rows:
        counted = np.array([row.hours for row in rows], np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            hours[at, column] = counted / counted.sum(axis=1, keepdims=True)
    missing = np.isnan(values["impressions"][:, 0])
    values["impressions"][missing, 0] = 0.0
    return Series(first, segments, values, hours)


def _segments(rows: Iterable[DayRow]) -> tuple[Segment, ...]:
    return tuple(sorted({row.segment for row in rows} | {ALL}, key=_order))


def _order(segment: Segment) -> tuple[int, str]:
    return len(segment.grouping), segment.key
