"""False alarms: on a year of seasonal traffic, and on real exposures, no day is blocked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from batch.quality.counts import DAY_US, Rows, count
from batch.quality.day_rows import DayRow, rows_of_day
from batch.quality.findings import blocking
from batch.quality.judge import Verdict, judge
from impressions.settings.sections import Quality
from tests.quality.traffic import FIRST_DAY, Traffic

REAL = Path("/work/shared/data/kuairand/impressions.parquet")


def rate(verdict: Verdict, rows: list[DayRow]) -> str:
    bad = blocking(list(verdict.findings))
    days = sum(one.last_day - one.day + 1 for one in bad)
    return (
        f"{days} of {verdict.days} days, {len(bad)} of {len(rows):,} rows blocked; "
        f"{len(verdict.findings) - len(bad)} named"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22])
def test_no_day_of_a_year_is_blocked(seed: int) -> None:
    """Hours, weekdays, a season of the year, growth of 1 % a week, two holiday peaks."""
    peaks = {150: 1.6, 151: 1.5, 357: 1.8, 358: 1.9, 359: 1.5}
    rows = Traffic(seed, impressions=4000, growth=1.01, peaks=peaks).rows(range(365))
    verdict = judge(rows, FIRST_DAY + 365, Quality())
    print(f"seed {seed}: {rate(verdict, rows)}")
    assert [one.sentence for one in blocking(list(verdict.findings))] == []


def real_days() -> list[DayRow]:
    """The rows of each day, as an import without an ingest time counts them."""
    import pyarrow.parquet as pq

    table = pq.read_table(REAL)
    event_us = table["time_ms"].to_numpy() * 1000
    profile, title = table["user_id"].to_numpy(), table["video_id"].to_numpy()
    nobody = np.full(table.num_rows, -1)
    result, samples = [], []
    for day in np.unique(event_us // DAY_US).tolist():
        at = np.flatnonzero(event_us // DAY_US == day)
        at = at[np.lexsort((event_us[at], title[at], profile[at]))]
        rows = Rows(
            profile[at], title[at], table["tab"].to_numpy()[at], event_us[at], event_us[at],
            table["is_click"].to_numpy()[at] > 0, table["play_time_ms"].to_numpy()[at] / 1000,
            np.zeros(len(at), np.bool_), nobody[at], nobody[at], (), (),
        )  # fmt: skip
        counts = count(rows, DAY_US)
        result += rows_of_day(int(day), counts, {}, samples, Quality().min_impressions)
        samples.append(counts.titles)
    return result


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not on this machine")
def test_no_day_of_real_exposures_is_blocked() -> None:
    """Fifteen days of KuaiRand, a public holiday and a half first day among them."""
    rows = real_days()
    verdict = judge(rows, max(row.day for row in rows) + 1, Quality())
    print(f"KuaiRand: {rate(verdict, rows)}")
    assert verdict.days == 15
    assert [one.sentence for one in verdict.findings] == []
