"""Accepted is one finding: its segment, measure and days, no worse than it was."""

from __future__ import annotations

from dataclasses import replace

from batch.quality.acceptance import accept, acceptances
from batch.quality.findings import Finding, runs
from batch.quality.judge import judge
from batch.quality.segments import ALL, Segment
from impressions.settings.sections.batch import Quality
from tests.quality import faults
from tests.quality.traffic import FIRST_DAY, Traffic

ONE = Finding(20_000, 20_002, ALL, "plays_per_impression", 0.1, 0.2, 0.1, 0.12, 8, "median of 8")


def test_an_acceptance_comes_back_from_the_properties_as_it_was_made() -> None:
    """And other properties are left alone."""
    one = accept(ONE, "a strike; really", "ann", 5)
    assert acceptances({"write.format": "x", **one.property}) == [one]


def test_it_covers_its_finding_and_nothing_else() -> None:
    """Not another segment, measure or day; a value a little off, and not a worse one."""
    one = accept(ONE, "known", "ann", 5)
    assert one.covers(ONE)
    assert one.covers(replace(ONE, last_day=20_001, high=0.1))
    assert one.covers(replace(ONE, low=0.095))
    for other in (
        replace(ONE, segment=Segment("1")), replace(ONE, measure="dwell_median_s"),
        replace(ONE, last_day=20_003), replace(ONE, day=19_999), replace(ONE, low=0.05),
    ):  # fmt: skip
        assert not one.covers(other)


def test_days_in_a_row_are_one_finding() -> None:
    """A hole or another segment begins a new one; the extremes of all days are kept."""
    days = [replace(ONE, day=d, last_day=d, low=0.1 * d, high=0.1 * d) for d in (3, 1, 2, 5)]
    first, other, second = runs([*days, replace(days[0], segment=Segment("2"))])
    assert [(one.day, one.last_day) for one in (first, other, second)] == [(1, 3), (3, 3), (5, 5)]
    assert (round(first.low, 1), round(first.high, 1)) == (0.1, 0.3)


def test_an_accepted_finding_stands_no_more_and_others_do() -> None:
    """Of two faults one is accepted; then the accepted value is history like any other."""
    bad = {25: faults.fewer_plays(0.6), 26: faults.locations_zero()}
    rows = Traffic(8, impressions=3000).rows(range(28), bad)
    before = judge(rows, FIRST_DAY + 28, Quality())
    plays = [one for one in before.findings if one.measure == "plays_per_impression"]
    said = [accept(one, "a strike", "ann", 5) for one in plays]
    after = judge(rows, FIRST_DAY + 28, Quality(), said)
    assert plays
    assert {one.id for one in after.accepted} == {one.id for one in plays}
    assert {one.id for one in after.findings} == {o.id for o in before.findings} - {
        one.id for one in plays
    }
