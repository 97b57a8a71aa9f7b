"""A day's counts become its rows: one per segment, small segments pooled, measures named.

This is what `impressions.quality` holds and what an analyst plots. A grouping in which the whole
day is one segment is left out: it would say the same as `all`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from batch.quality import dwell_bins, title_sample
from batch.quality.counts import (
    BY_HOUR,
    BY_HOUR_AT,
    DWELL_AT,
    FIELDS,
    HOURS_AT,
    LOCATIONS_AT,
    WIDTH,
    Counts,
)
from batch.quality.segments import ALL, GROUPINGS, OTHER, UNKNOWN, Segment
from batch.quality.title_sample import Hashes
from impressions.core.decay import Int

Rejected = Mapping[tuple[str, str, str], int]
"""(device type, app version, reason) -> rejected rows of a day."""


_POOLING: Mapping[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    (): (),
    ("location",): (("location",),),
    ("device_type",): (("device_type",),),
    ("app_version",): (("app_version",),),
    ("device_type", "app_version"): (("app_version",), ("device_type", "app_version")),
}
"""Grouping -> which fields of a small segment become `other`, step by step."""


@dataclass(frozen=True)
class DayRow:
    """A segment of a day. `day` counts from 1970-01-01, UTC, by ingest time.

    Attributes:
        largest: impressions of the profile `largest_profile`, which has most.
        top_location: impressions of the location that has most.
        squares: of the impressions of each profile, added.
        hours: (24,) impressions by the hour of their event time, UTC.
        by_hour: name of BY_HOUR -> (24,) by the hour of ingest, UTC.
        titles, new_titles: of the segment, and those that none of the days before had, in whatever
            segment.   title_sample: of the day; of `all` only.
        rejected: reason -> rows.
    """

    day: int
    segment: Segment
    impressions: int = 0
    profiles: int = 0
    plays: int = 0
    duplicates: int = 0
    repeated: int = 0
    clamped: int = 0
    late: int = 0
    zero_dwell: int = 0
    squares: int = 0
    again: int = 0
    dwell_median_s: float = float("nan")
    dwell_p99_s: float = float("nan")
    largest: int = 0
    largest_profile: int = 0
    top_location: int = 0
    hours: tuple[int, ...] = (0,) * 24
    by_hour: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    titles: int = 0
    new_titles: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    title_sample: Hashes = field(default_factory=lambda: title_sample.NONE)
    files: str = ""

    @property
    def rejected_rows(self) -> int:
        return sum(self.rejected.values())

    @property
    def read(self) -> int:
        """Rows that came, counted or not."""
        return self.impressions + self.duplicates + self.rejected_rows


COUNTS = (*(f.name for f in fields(DayRow) if f.type == "int" and f.name != "day"), "rejected_rows")
FLOATS = tuple(f.name for f in fields(DayRow) if f.type == "float")
"""Names of its numbers."""


def rows_of_day(
    day: int,
    counts: Counts,
    rejected: Rejected,
    earlier_titles: Iterable[Hashes],
    least: int,
    files: str = "",
) -> list[DayRow]:
    """The rows of a day, `all` first.

    Args:
        earlier_titles: samples of days before.
        least: a segment with fewer rows is pooled.
        files: names what was counted.
    """
    table, largest = _tables(counts)
    reasons = _by_segment(rejected)
    for segment in reasons:
        table.setdefault(segment, np.zeros(WIDTH, np.int64))
        largest.setdefault(segment, (0, 0))
    table.setdefault(ALL, np.zeros(WIDTH, np.int64))
    largest.setdefault(ALL, (0, 0))
    seen = dict(zip(counts.segments, counts.seen, strict=True))
    nothing = np.zeros(len(counts.titles), np.bool_)
    is_new = title_sample.are_new(counts.titles, earlier_titles)
    rows = []
    for grouping in GROUPINGS:
        pooled = _pooled(grouping, table, reasons, least)
        if _says_nothing(grouping, pooled):
            continue
        for segment, members in pooled.items():
            sums = np.sum([table[one] for one in members], axis=0)
            most = max((largest[one] for one in members), key=_size)
            why = _summed(reasons.get(one, {}) for one in members)
            its = np.any([seen.get(one, nothing) for one in members], axis=0)
            row = _row(day, segment, sums, most, why, files)
            rows.append(replace(
                row,
                titles=title_sample.distinct(counts.titles, int(its.sum())),
                new_titles=title_sample.new_in(counts.titles, is_new, its),
            ))  # fmt: skip
    rows[0] = replace(rows[0], title_sample=counts.titles)
    return rows


def _says_nothing(grouping: tuple[str, ...], segments: Iterable[Segment]) -> bool:
    """Whether producers leave out one of the texts that it divides by."""
    texts = [name for name in grouping if name != "location"]
    return any({getattr(one, name) for one in segments} <= {UNKNOWN, OTHER} for name in texts)


def _tables(counts: Counts) -> tuple[dict[Segment, Int], dict[Segment, tuple[int, int]]]:
    dense = counts.dense()
    table = {segment: dense[i] for i, segment in enumerate(counts.segments)}
    return table, dict(zip(counts.segments, counts.largest, strict=True))


def _size(largest: tuple[int, int]) -> int:
    return largest[1]


def _pooled(
    grouping: tuple[str, ...],
    table: Mapping[Segment, Int],
    reasons: Mapping[Segment, Mapping[str, int]],
    least: int,
) -> dict[Segment, list[Segment]]:
    """Segment -> those it consists of."""
    mine = [segment for segment in table if segment.grouping == grouping]
    came = [FIELDS.index("duplicates"), FIELDS.index("impressions")]
    size = {one: int(table[one][came].sum() + sum(reasons.get(one, {}).values())) for one in mine}
    groups = {one: [one] for one in mine}
    for pooled in _POOLING[grouping]:
        groups = _pool(groups, size, pooled, least)
    return groups


def _pool(
    groups: Mapping[Segment, list[Segment]],
    size: Mapping[Segment, int],
    fields: tuple[str, ...],
    least: int,
) -> dict[Segment, list[Segment]]:
    done: dict[Segment, list[Segment]] = {}
    for segment, members in groups.items():
        small = sum(size[one] for one in members) < least
        into = replace(segment, **dict.fromkeys(fields, OTHER)) if small else segment
        done.setdefault(into, []).extend(members)
    return done


def _by_segment(rejected: Rejected) -> dict[Segment, dict[str, int]]:
    """Rejected rows by segment; which location they were of is not known."""
    found: dict[Segment, dict[str, int]] = {}
    for (device, version, reason), n in rejected.items():
        device, version = device or UNKNOWN, version or UNKNOWN
        for segment in (
            ALL,
            Segment(device_type=device),
            Segment(app_version=version),
            Segment(device_type=device, app_version=version),
        ):
            of = found.setdefault(segment, {})
            of[reason] = of.get(reason, 0) + n
    return found


def _summed(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in several:
        for reason, n in one.items():
            total[reason] = total.get(reason, 0) + n
    return total


def _row(
    day: int,
    segment: Segment,
    sums: Int,
    largest: tuple[int, int],
    rejected: Mapping[str, int],
    files: str,
) -> DayRow:
    dwell = sums[DWELL_AT:]
    plain: dict[str, Any] = {name: int(sums[i]) for i, name in enumerate(FIELDS)}
    return DayRow(
        day,
        segment,
        **plain,
        dwell_median_s=dwell_bins.quantile_s(dwell, 0.5),
        dwell_p99_s=dwell_bins.quantile_s(dwell, 0.99),
        largest_profile=largest[0],
        largest=largest[1],
        top_location=int(sums[LOCATIONS_AT:BY_HOUR_AT].max(initial=0)),
        hours=_hours(sums, HOURS_AT),
        by_hour={name: _hours(sums, BY_HOUR_AT + 24 * i) for i, name in enumerate(BY_HOUR)},
        rejected=dict(sorted(rejected.items())),
        files=files,
    )


def _hours(sums: Int, at: int) -> tuple[int, ...]:
    return tuple(sums[at : at + 24].tolist())
