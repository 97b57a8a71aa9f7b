"""How often ordinary days are blocked, on traffic that was not used to choose a bound.

    python -m tests.quality.independent 71 72 73      seeds; 2,000 to 20,000 impressions a day

Prints, for each seed and size: days judged, days blocked, findings that are named only.
"""

from __future__ import annotations

import sys

from batch.quality.day_rows import DayRow
from batch.quality.findings import blocking
from batch.quality.judge import judge
from impressions.settings.sections.batch import Quality
from tests.quality.people import BUSY, People
from tests.quality.traffic import FIRST_DAY

DAYS = 126
SIZES = (2_000, 6_000, 20_000)


def rows_of(seed: int, impressions: int, days: int = DAYS) -> list[DayRow]:
    return People(seed, impressions, year=BUSY).rows(range(days))


def main(seeds: list[int]) -> None:
    judged = blocked = 0
    for seed in seeds:
        for size in SIZES:
            verdict = judge(rows_of(seed, size), FIRST_DAY + DAYS, Quality())
            bad = blocking(list(verdict.findings))
            days = {day for one in bad for day in range(one.day, one.last_day + 1)}
            judged, blocked = judged + verdict.days, blocked + len(days)
            named = len(verdict.findings) - len(bad)
            said = f"{verdict.days} days, {len(days)} blocked, {named} named"
            print(f"seed {seed}, {size:,} a day: {said}")
            for one in bad:
                print(f"    {one.sentence}")
    print(f"together: {judged:,} days, {blocked} blocked")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [71])
