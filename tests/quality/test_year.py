"""False alarms: on a year of seasonal traffic, and on real exposures, no day is blocked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from batch.quality.counts import DAY_US, Rows, count
from batch.quality.day_rows import DayRow, rows_of_day
from batch.quality.findings import blocking
from batch.quality.judge import Verdict, judge
from impressions.settings.sections.batch import Quality
from tests.quality.faults import CASES, dwell_of_all, landed_twice, missing
from tests.quality.independent import DAYS, rows_of
from tests.quality.traffic import DEVICE_SHARE, FIRST_DAY, VERSION_SHARE, Events, Traffic
from tests.quality.weeks import Weeks

REAL = Path(__file__).parents[3] / "shared" / "data" / "kuairand" / "impressions.parquet"


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


@pytest.mark.slow
def test_no_day_of_a_population_is_blocked() -> None:
    """People who come again, in sittings, on releases; holidays, New Year, great evenings, a dip,
    daylight saving, a launch: traffic that no bound was chosen by."""
    verdict = judge(rows_of(71, 6_000), FIRST_DAY + DAYS, Quality())
    assert verdict.days == DAYS
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


@dataclass(frozen=True)
class Repeated(Traffic):
    """Days 1 to 14 of the real exposures again and again, some profiles of each day drawn anew;
    device types and app versions are dealt to profiles."""

    kept: float = 0.9

    def events(self, day: int) -> Events:
        rng = np.random.default_rng((self.seed, day))
        of = _real_columns()
        first = int(of["event_us"].min()) // DAY_US + 1
        source = first + day % 14
        at = np.flatnonzero(of["event_us"] // DAY_US == source)
        people = np.unique(of["profile_id"][at])
        drawn = people[rng.random(len(people)) < self.kept]
        at = at[np.isin(of["profile_id"][at], drawn)]
        columns = {name: column[at] for name, column in of.items()}
        columns["event_us"] = columns["event_us"] + (FIRST_DAY + day - source) * DAY_US
        came = rng.exponential(20e6, len(at)).astype(np.int64)
        return Events(columns | {"ingest_us": columns["event_us"] + came})


@cache
def _real_columns() -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq

    table = pq.read_table(REAL)
    profile = table["user_id"].to_numpy().astype(np.int64)
    return {
        "profile_id": profile,
        "title_id": table["video_id"].to_numpy(),
        "location": table["tab"].to_numpy().astype(np.int64),
        "event_us": table["time_ms"].to_numpy() * 1000,
        "played": table["is_click"].to_numpy() > 0,
        "dwell_s": table["play_time_ms"].to_numpy() / 1000,
        "duplicate": np.zeros(len(profile), np.bool_),
        "device": np.searchsorted(np.cumsum(DEVICE_SHARE[:3]), profile * 2654435761 % 1000 / 1000),
        "version": np.searchsorted(np.cumsum(VERSION_SHARE[:3]), profile * 40503 % 997 / 997),
    }


@cache
def real_weeks(kept: float) -> Weeks:
    return Weeks(Repeated(1, kept=kept), 84)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not on this machine")
@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_no_day_of_repeated_real_exposures_is_blocked(kept: float) -> None:
    """Twelve weeks in which an ordinary week and one with a public holiday take turns."""
    rows = real_weeks(kept).rows({})
    verdict = judge(rows, FIRST_DAY + 84, Quality())
    print(f"KuaiRand, {kept} of the profiles: {rate(verdict, rows)}")
    assert [one.sentence for one in verdict.findings] == []


BAD = 80


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not on this machine")
@pytest.mark.parametrize("name", CASES)
def test_a_bad_day_of_real_exposures_is_found_where_its_fault_lies(name: str) -> None:
    """Each fault on one day of the repeated weeks: named with its segment, and on no other day."""
    fault, expected = CASES[name]
    some = blocking(real_weeks(0.9).found({BAD: fault}))
    told = {(one.segment.key, one.measure) for one in some}
    assert expected[1] in {measure for _, measure in told}, told
    assert {one.day for one in some} == {FIRST_DAY + BAD}


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not on this machine")
def test_bad_weeks_of_real_exposures_are_found() -> None:
    """Half a week missing, a week landed twice; dwell that drifts by 2 % a week is named only."""
    weeks = real_weeks(0.9)
    gone = blocking(weeks.found(dict.fromkeys(range(76, 80), missing(1))))
    assert ("all", "impressions") in {(one.segment.key, one.measure) for one in gone}
    twice = blocking(weeks.found(dict.fromkeys(range(77, 84), landed_twice())))
    assert ("all", "share_repeated") in {(one.segment.key, one.measure) for one in twice}
    slow = {day: dwell_of_all(1.02 ** ((day - 7) / 7)) for day in range(7, 84)}
    some = weeks.found(slow)
    assert ("all", "dwell_median_s_drift") in {(one.segment.key, one.measure) for one in some}
    assert blocking(some) == []
