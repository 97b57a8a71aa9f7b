"""Weeks of traffic with faults on some of their days; what has no fault is counted once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from batch.quality.counts import Counts
from batch.quality.day_rows import DayRow, Rejected, rows_of_day
from batch.quality.findings import Finding
from batch.quality.judge import judge
from batch.quality.title_sample import Hashes
from impressions.settings.sections.batch import Quality
from tests.quality.traffic import FIRST_DAY, Fault, Traffic, counted

Counted = tuple[Counts, Rejected]
_TITLE_DAYS = 28


class Weeks:
    """Days 0 to `days` of some traffic."""

    def __init__(self, traffic: Traffic, days: int, limits: Quality | None = None):
        self.days, self.limits = days, limits or Quality()
        self._traffic = traffic
        self._usual = [self._counted(day, None) for day in range(days)]
        self._rows = self._rows_from(0, self._usual)

    def rows(self, bad: Mapping[int, Fault]) -> list[DayRow]:
        """The table's rows where these days have faults; a day without events has none."""
        first = min(bad, default=self.days)
        counts = [
            self._counted(day, bad[day]) if day in bad else usual
            for day, usual in enumerate(self._usual)
        ]
        rows = [row for row in self._rows if row.day < FIRST_DAY + first]
        return rows + self._rows_from(first, counts)

    def found(self, bad: Mapping[int, Fault]) -> list[Finding]:
        return list(judge(self.rows(bad), FIRST_DAY + self.days, self.limits).findings)

    def _counted(self, day: int, fault: Fault | None) -> Counted:
        events = self._traffic.events(day)
        if fault is not None:
            events = fault(events, np.random.default_rng((self._traffic.seed, day, 7)))
        return counted(events), events.rejected

    def _rows_from(self, first: int, counts: list[Counted]) -> list[DayRow]:
        rows: list[DayRow] = []
        titles: list[Hashes] = [of.titles for of, _ in counts]
        for day in range(first, len(counts)):
            of, rejected = counts[day]
            if of.segments or rejected:
                earlier = titles[max(0, day - _TITLE_DAYS) : day]
                least = self.limits.min_impressions
                rows += rows_of_day(FIRST_DAY + day, of, rejected, earlier, least)
        return rows
