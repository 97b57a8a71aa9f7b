"""The hours of a fault are named where counts by hour show them, and left out where they do not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from batch.quality.findings import Finding, blocking
from batch.quality.since import interval
from tests.quality import faults
from tests.quality.traffic import FIRST_DAY, Fault, Traffic
from tests.quality.weeks import Weeks

BAD = 30
EVEN = np.full(24, 100.0)


@cache
def weeks() -> Weeks:
    return Weeks(Traffic(12), 35)


def found(fault: Fault, measure: str) -> Finding:
    some = blocking(weeks().found({BAD: fault}))
    return next(one for one in some if (one.measure, one.day) == (measure, FIRST_DAY + BAD))


BEGINS = {
    "plays gone": (faults.fewer_plays(1), "plays_per_impression"),
    "events lost": (faults.lost(0.9), "impressions"),
    "landed twice": (faults.landed_twice(), "share_repeated"),
    "sent thrice": (
        lambda events, rng: faults.landed_twice()(faults.landed_twice()(events, rng), rng),
        "impressions_per_profile",
    ),
    "milliseconds": (faults.dwell_times(1000), "dwell_median_s"),
    "titles null": (faults.titles_null(), "share_rejected"),
    "a clock ahead": (faults.clock_off(6), "share_clamped"),
    "locations 0": (faults.locations_zero(), "other_locations"),
}


@pytest.mark.parametrize("name", BEGINS)
def test_a_fault_that_begins_within_a_day_says_since_when(name: str) -> None:
    """All of them since 9:00."""
    fault, measure = BEGINS[name]
    one = found(faults.since(9, fault), measure)
    assert (one.since_hour, one.until_hour) == (9, 24)
    assert ", since 09:00; look at" in one.sentence
    assert one.as_dict()["since_hour"] == 9


def test_a_fault_of_the_whole_day_names_no_hour() -> None:
    """And its sentence has none."""
    one = found(faults.fewer_plays(1), "plays_per_impression")
    assert (one.since_hour, one.until_hour, one.hours) == (0, 24, "")


def test_a_bot_names_no_hour() -> None:
    """Profiles are not counted by hour."""
    assert found(faults.since(9, faults.bot(0.3)), "share_largest_profile").hours == ""


def test_the_end_of_a_fault_is_named_too() -> None:
    """Of a gap in the middle, and of one at the beginning."""
    for hours, words in (((6, 12), "06:00 until 12:00"), ((0, 7), "until 07:00")):
        events = np.where((np.arange(24) >= hours[0]) & (np.arange(24) < hours[1]), -80.0, 3.0)
        assert interval(events, EVEN) == hours
        one = Finding(1, 1, None, "impressions", 1, 2, 1, 1, 8, "", True, *hours)  # type: ignore[arg-type]
        assert words in one.hours


@pytest.mark.parametrize(
    "deviation",
    [
        np.full(24, -50.0),
        np.where(np.arange(24) % 2, -60.0, 0.0),
        np.where(np.arange(24) < 14, -30.0, -60.0),
        np.random.default_rng(3).normal(0, 10, 24),
    ],
    ids=["all day", "every other hour", "half as much before", "chance"],
)
def test_hours_that_do_not_tell_are_not_named(deviation: np.ndarray) -> None:
    """A fault of all hours, one that comes and goes, one that was there before, none at all."""
    assert interval(deviation, EVEN) is None


def test_hours_without_events_do_not_tell() -> None:
    """Nothing came before noon, in other weeks either: nobody knows since when."""
    base = np.where(np.arange(24) < 12, 0.0, 100.0)
    assert interval(np.where(np.arange(24) < 12, 0.0, -50.0), base) is None
