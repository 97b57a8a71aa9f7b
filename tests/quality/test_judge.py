"""Bad days are found and named, ordinary ones beside them pass: on generated seasonal traffic.

Each fault is that of one day (or a week) after eleven ordinary weeks; the seed is in the id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import pytest

from batch.quality.findings import ABSOLUTE, Finding, blocking, day_name
from batch.quality.judge import judge
from impressions.settings.sections.batch import Quality
from tests.quality import faults
from tests.quality.traffic import FIRST_DAY, Fault, Traffic
from tests.quality.weeks import Weeks

LIMITS = Quality()
WEEKS = 12
DAYS = 7 * WEEKS
BAD = DAYS - 4
SEEDS = (1, 2)


@cache
def weeks(seed: int) -> Weeks:
    return Weeks(Traffic(seed), DAYS)


def found(seed: int, bad: Mapping[int, Fault]) -> list[Finding]:
    """Findings of twelve weeks in which these days have faults."""
    return weeks(seed).found(bad)


def told(some: list[Finding]) -> set[tuple[str, str]]:
    return {(one.segment.key, one.measure) for one in some}


@pytest.mark.parametrize("seed", SEEDS)
def test_ordinary_weeks_pass(seed: int) -> None:
    """Nothing is found in twelve weeks, the first ones, without history, among them."""
    assert [one.sentence for one in found(seed, {})] == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", faults.CASES)
def test_a_bad_day_is_found_where_its_fault_lies(name: str, seed: int) -> None:
    """The segment and the measure of the fault hold the generation back, on that day and no
    other."""
    fault, expected = faults.CASES[name]
    some = blocking(found(seed, {BAD: fault}))
    assert expected in told(some), [one.sentence for one in some]
    assert {(one.day, one.last_day) for one in some} == {(FIRST_DAY + BAD, FIRST_DAY + BAD)}
    assert all(one.weeks == 8 for one in some)


@pytest.mark.parametrize("days", [1, 4, 28], ids=["a day", "half a week", "four weeks"])
def test_missing_days_are_one_finding(days: int) -> None:
    """Days without any event between days with events; the first day and the last are named."""
    first = BAD - days
    [one] = blocking(found(1, dict.fromkeys(range(first, BAD), faults.missing(1))))
    assert (one.segment.key, one.measure, one.found) == ("all", "impressions", 0)
    assert (one.day, one.last_day) == (FIRST_DAY + first, FIRST_DAY + BAD - 1)


def test_days_that_are_missing_at_the_end_are_found() -> None:
    """The window ends at the cutover, not at the last event."""
    rows = [row for row in weeks(1).rows({}) if row.day < FIRST_DAY + BAD]
    [one] = judge(rows, FIRST_DAY + DAYS, LIMITS).findings
    assert (one.measure, one.last_day) == ("impressions", FIRST_DAY + DAYS - 1)


def test_a_week_that_landed_twice_is_found() -> None:
    """As repeats, and as twice as many impressions per profile; one finding each for the week."""
    some = blocking(found(1, dict.fromkeys(range(DAYS - 7, DAYS), faults.landed_twice())))
    assert told(some) == {("all", "share_repeated"), ("all", "impressions_per_profile")}
    assert {(one.day, one.last_day) for one in some} == {(FIRST_DAY + DAYS - 7, FIRST_DAY + 83)}


def test_the_week_after_a_bad_one_passes() -> None:
    """What is a finding is no history for later days."""
    week = dict.fromkeys(range(14, 21), faults.fewer_plays(1))
    days = [(one.day - FIRST_DAY, one.last_day - FIRST_DAY) for one in found(2, week)]
    assert (14, 20) in days
    assert max(last for _, last in days) == 20


@pytest.mark.parametrize("bad", [range(14, 21), (30, 31, 33), range(40, 80, 3)], ids=str)
def test_days_are_judged_as_one_after_the_other(
    bad: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many days are looked at together changes no finding, wherever the bad ones lie."""
    of = dict.fromkeys(bad, faults.fewer_plays(1))
    together = found(2, of)
    monkeypatch.setattr("batch.quality.judge._MOST_DAYS", 1)
    assert repr(found(2, of)) == repr(together) != "[]"


def test_growth_of_a_fifth_a_week_passes() -> None:
    """Volume is compared with a line through the weeks."""
    rows = Traffic(3, impressions=1500, growth=1.2).rows(range(77))
    assert [one.sentence for one in judge(rows, FIRST_DAY + 77, LIMITS).findings] == []


def test_half_of_the_events_are_missed_in_spite_of_growth() -> None:
    """Half of what the line says is more than last month's level."""
    rows = Traffic(3, impressions=1500, growth=1.2).rows(range(77), {74: faults.lost(0.5)})
    some = judge(rows, FIRST_DAY + 77, LIMITS).findings
    assert {(one.segment.key, one.day) for one in some} == {("all", FIRST_DAY + 74)}


def test_a_holiday_peak_passes() -> None:
    """Two days with nearly twice the traffic, of more people."""
    rows = Traffic(4, peaks={65: 1.9, 66: 1.7}).rows(range(70))
    assert [one.sentence for one in judge(rows, FIRST_DAY + 70, LIMITS).findings] == []


@pytest.mark.parametrize("up", [1.02, 1 / 1.02], ids=["up", "down"])
def test_a_slow_drift_is_named_and_not_blocked(up: float) -> None:
    """2 % a week for ten weeks, of dwell; no single day of it is a finding."""
    some = found(1, {d: faults.dwell_of_all(up ** ((d - 7) / 7)) for d in range(7, DAYS)})
    assert ("all", "dwell_median_s_drift") in told(some)
    assert blocking(some) == []
    assert "% a week for 10 weeks" in next(o.sentence for o in some if o.segment.is_all)


def test_first_weeks_are_judged_by_absolute_rules_and_say_so() -> None:
    """No plays from the first day on, dwell in milliseconds, landed twice: no week to compare."""
    for fault, measure in (
        (faults.fewer_plays(1), "plays_per_impression"),
        (faults.landed_twice(), "share_repeated"),
        (lambda e, rng: e.having(dwell_s=e["dwell_s"] * 1000), "dwell_median_s"),
    ):
        rows = Traffic(5).rows(range(4), dict.fromkeys(range(4), fault))
        some = judge(rows, FIRST_DAY + 4, LIMITS).findings
        [one] = [one for one in some if one.measure == measure and one.segment.is_all]
        assert (one.weeks, one.day, one.last_day) == (0, FIRST_DAY, FIRST_DAY + 3)
        assert ABSOLUTE in one.sentence


def test_a_year_without_a_play_is_one_finding() -> None:
    """Days that are findings are no history, so the rule holds to the end."""
    rows = Traffic(6, impressions=1500).rows(
        range(35), dict.fromkeys(range(35), faults.CASES["plays gone"][0])
    )
    some = blocking(list(judge(rows, FIRST_DAY + 35, LIMITS).findings))
    whole = [one for one in some if one.segment.is_all]
    assert [(one.day, one.last_day) for one in whole] == [(FIRST_DAY, FIRST_DAY + 34)]


def test_a_new_app_version_is_compared_with_everything() -> None:
    """A release without any history of its own that sends milliseconds is found at once."""

    def renamed(events, rng):  # type: ignore[no-untyped-def]
        return faults.dwell_times(1000)(events, rng)

    rows = [row for row in weeks(1).rows({}) if row.segment.app_version != "8.14"]
    bad = Traffic(1).rows([BAD], {BAD: renamed})
    rows = [row for row in rows if row.day != FIRST_DAY + BAD] + bad
    some = judge(
        [r for r in rows if r.day <= FIRST_DAY + BAD], FIRST_DAY + BAD + 1, LIMITS
    ).findings
    [one] = [
        f for f in some if f.segment.key == "app_version=8.14" and f.measure == "dwell_median_s"
    ]
    assert "this segment is new" in one.basis


def test_small_days_are_not_judged() -> None:
    """Below `quality.min_impressions` counts say nothing."""
    rows = Traffic(7, impressions=200).rows(
        range(28), {25: faults.fewer_plays(1), 26: faults.missing(1)}
    )
    assert judge(rows, FIRST_DAY + 28, LIMITS).findings == ()


def test_a_sentence_says_what_a_person_needs() -> None:
    """Day, segment, measure, found, expected, weeks, and where to look."""
    some = found(1, {BAD: faults.dwell_times(1000)})
    [one] = [one for one in some if one.measure == "dwell_median_s"]
    assert one.id.startswith(day_name(FIRST_DAY + BAD))
    for words in (
        day_name(FIRST_DAY + BAD),
        "app version 8.14",
        "dwell_median_s",
        "expected",
        "median of 8 Sundays",
        "look at: app version 8.14: the unit",
    ):
        assert words in one.sentence
