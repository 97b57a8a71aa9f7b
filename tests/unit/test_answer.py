"""The projection: grouping, the top, presented numbers; in numbers small enough to check."""

import math

import numpy as np
import pytest

from impressions.core.answer import Query, project
from impressions.core.errors import UsageError
from impressions.core.item import pack
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.core.top import Top

SPEC = Spec()


def rows():
    """Title 1 at locations 0 and 2, title 9 at 0; impressions 4, 6, 10 and plays 1, 2, 0."""
    sums = np.zeros((3, 5, 3))
    sums[0], sums[1] = [4, 6, 10], [1, 2, 0]
    totals = np.array([[5.0, 7, 11], [2, 3, 0], [1.5, 2.5, 0]])
    items = pack(np.array([1, 1, 9]), np.array([0, 2, 0]))
    return Rows(items, np.array([100, 300, 200]), totals, sums)


def ask(**changes):
    query = {"measures": ("impressions", "plays"), "half_lives_days": (7,), **changes}
    return project(rows(), Query(**query), SPEC)


def test_by_title_adds_the_locations():
    """Title 1: 4 + 6 decayed, 5 + 7 in total, last seen at the later of both."""
    answer = ask(totals=True, last_seen=True)
    assert answer.title_ids.tolist() == [1, 9]
    assert answer.locations is None
    assert answer.decayed["impressions", 7].tolist() == [10, 10]
    assert answer.totals["impressions"].tolist() == [12, 11]
    assert answer.last_seen_ms.tolist() == [300, 200]


def test_by_location_keeps_them_apart():
    """One row per (title, location), ascending."""
    answer = ask(by_location=True)
    assert answer.title_ids.tolist() == [1, 1, 9]
    assert answer.locations.tolist() == [0, 2, 0]


def test_only_the_columns_asked_for():
    """Totals, rates and ratios are made on request; decayed sums can be left out."""
    answer = ask(decayed=False, plays_per_impression=True)
    assert (answer.decayed, answer.totals, answer.ema_rates) == ({}, {}, {})
    assert answer.last_seen_ms is None
    assert answer.plays_per_impression[7].tolist() == [0.3, 0.0]


def test_ema_rates_are_per_day():
    """S ln2 / h: 10 * 0.6931 / 7."""
    assert ask(ema_rates=True).ema_rates["impressions", 7][0] == pytest.approx(10 * math.log(2) / 7)


def test_the_top_comes_largest_first_and_ties_by_item():
    """By plays: title 1 (3) before 9 (0); by impressions both have 10, so 1 before 9."""
    assert ask(top=Top(1, "plays", 7)).title_ids.tolist() == [1]
    assert ask(top=Top(5, "impressions", 7)).title_ids.tolist() == [1, 9]
    answer = ask(top=Top(2, "impressions", 7), by_location=True)
    assert (answer.title_ids.tolist(), answer.matched) == ([9, 1], 3)


def test_the_top_may_rank_by_a_column_that_is_not_returned():
    """Ranked by plays, returned only impressions."""
    answer = ask(measures=("impressions",), top=Top(1, "plays", 365))
    assert list(answer.decayed) == [("impressions", 7)]


@pytest.mark.parametrize(
    "changes", [{"measures": ("clicks",)}, {"half_lives_days": (2,)}, {"top": Top(1, "x", 7)}]
)
def test_unknown_names_are_refused_with_the_known_ones(changes):
    """The message lists what there is."""
    with pytest.raises(UsageError, match="expected one of"):
        ask(**changes)
