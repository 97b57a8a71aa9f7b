"""One measure of one segment by day, and what was found about the days. Pure.

A finding of a drift is drawn on the measure that drifts. Which hours a day's impressions lie in is
judged too and has no single number: its findings stand in the list only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from impressions.console.charts import Mark, days_chart
from impressions.console.words import number
from impressions.status.facts import DayFinding, QualityDays

_TABLE_DAYS = 14
_DRIFT = "_drift"


@dataclass(frozen=True)
class FindingRow:
    """A finding in words.

    Attributes:
        kind: `blocks`, `named` or `accepted`; `says` is the same for people.
        command: what accepts it; "" where it needs none.
    """

    id: str
    days: str
    segment: str
    segment_words: str
    measure: str
    kind: str
    says: str
    sentence: str
    command: str


@dataclass(frozen=True)
class QualityView:
    """The page.

    Attributes:
        segments: (key, words) pairs with the one chosen.   measures: names.
        chart: SVG.   table: (day, value, mark) of the newest days, the newest first.
    """

    segment: str
    segment_words: str
    measure: str
    segments: tuple[tuple[str, str], ...]
    measures: tuple[str, ...]
    chart: str
    table: tuple[tuple[str, str, str], ...]
    findings: tuple[FindingRow, ...]
    standing: int


def view(days: QualityDays, segment: str | None, measure: str | None) -> QualityView:
    """Without a choice, the newest finding that stands; a choice that is not there is replaced by
    the first there is: everything, and impressions."""
    keys = [key for key, _ in days.segments]
    if segment is None and measure is None:
        segment, measure = _newest(days)
    segment = segment if segment in keys else keys[0]
    if measure is None or measure not in days.measures:
        measure = next(iter(days.measures))
    at = keys.index(segment)
    values: list[float] = days.measures[measure][:, at].tolist()
    words = days.segments[at][1]
    marks = [
        _mark(one, days)
        for one in days.findings
        if one.segment == segment and one.measure.removesuffix(_DRIFT) == measure
    ]
    title = f"{measure} of {words}, {days.days[0]} to {days.days[-1]}"
    return QualityView(
        segment,
        words,
        measure,
        days.segments,
        tuple(days.measures),
        days_chart(title, days.days, values, marks),
        _table(days, values, marks),
        tuple(_row(one, dict(days.segments)) for one in days.findings),
        sum(not one.accepted for one in days.findings),
    )


def _newest(days: QualityDays) -> tuple[str | None, str | None]:
    """Segment and measure of the newest finding that stands and can be drawn."""
    drawn = (
        (one.segment, one.measure.removesuffix(_DRIFT)) for one in days.findings if not one.accepted
    )
    return next((pair for pair in drawn if pair[1] in days.measures), (None, None))


def kind_of(one: DayFinding) -> str:
    return "accepted" if one.accepted else "blocks" if one.blocks else "named"


def _mark(one: DayFinding, days: QualityDays) -> Mark:
    first = days.days.index(max(one.first_day, days.days[0]))
    last = days.days.index(min(one.last_day, days.days[-1]))
    expected = one.expected if not one.measure.endswith(_DRIFT) else math.nan
    return Mark(first, last, kind_of(one), f"{one.id}: {one.sentence}", expected)


def _table(
    days: QualityDays, values: list[float], marks: list[Mark]
) -> tuple[tuple[str, str, str], ...]:
    kinds = {i: mark.kind for mark in marks for i in range(mark.first, mark.last + 1)}
    newest = range(len(days.days) - 1, max(-1, len(days.days) - 1 - _TABLE_DAYS), -1)
    return tuple((days.days[i], number(values[i]), kinds.get(i, "")) for i in newest)


def _row(one: DayFinding, words: dict[str, str]) -> FindingRow:
    says = {
        "blocks": "holds generations back", "named": "named only", "accepted": "accepted"
    }[kind_of(one)]  # fmt: skip
    return FindingRow(
        one.id,
        one.first_day if one.first_day == one.last_day else f"{one.first_day} .. {one.last_day}",
        one.segment,
        words.get(one.segment, one.segment),
        one.measure.removesuffix(_DRIFT),
        kind_of(one),
        says,
        one.sentence,
        "" if one.accepted else f'impressions accept {one.id} --reason "..."',
    )
