"""The days of events in numbers, with what was found about them: what the console draws.

In: the table's rows. Out: every measure of every day and segment, as it is judged, and the
findings of those days, also those that somebody accepted. Judged once for each state of the table.
"""

from __future__ import annotations

from batch.quality import table as quality_table
from batch.quality.findings import Finding, day_name
from batch.quality.measures import measures_of
from batch.quality.review import review
from batch.quality.series import series_of
from impressions.settings.model import Settings
from impressions.status.facts import DayFinding, QualityDays
from impressions.status.questions import Absent

_DAYS = 180


def read_days(settings: Settings) -> QualityDays:
    """The newest half year.

    Raises:
        Absent: no day was counted yet.
        Refused: the table is of other settings.
    """
    days = quality_table.once(settings, _read)
    if days is None:
        raise Absent(
            "no day was counted yet", "impressions close, or impressions quality --backfill"
        )
    return days


def _read(settings: Settings) -> QualityDays | None:
    kept = quality_table.read(settings)
    newest = max((row.day for row in kept.rows), default=None)
    if newest is None:
        return None
    first = max(newest + 1 - _DAYS, min(row.day for row in kept.rows))
    verdict = review(settings, kept, None, first)
    series = series_of(kept.rows, newest + 1)
    from_row = first - series.first_day
    segments = [one for one in series.segments if not one.is_pooled]
    columns = [series.segments.index(one) for one in segments]
    stand = [_finding(one, accepted=False) for one in verdict.findings]
    accepted = [_finding(one, accepted=True) for one in verdict.accepted]
    values = {one.name: one.value for one in measures_of(series, settings.quality)}
    values["impressions"] = series["impressions"]  # judged is the most that it can have been
    return QualityDays(
        days=tuple(day_name(day) for day in range(first, newest + 1)),
        segments=tuple((one.key, one.words) for one in segments),
        measures={name: value[from_row:, columns] for name, value in values.items()},
        findings=tuple(sorted([*stand, *accepted], key=lambda one: one.last_day, reverse=True)),
    )


def _finding(one: Finding, *, accepted: bool) -> DayFinding:
    return DayFinding(
        one.id, day_name(one.day), day_name(one.last_day), one.segment.key, one.measure,
        one.found, one.expected, one.sentence, one.blocks, accepted,
    )  # fmt: skip
