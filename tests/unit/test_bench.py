"""What `make bench` writes: ratios, goals and the fields that whoever compares runs relies on."""

import dataclasses

import pytest

from benchmarks.frame import Goal, exponent, row

FIELDS = [
    "stage", "measure", "ours", "unit", "peer", "limit", "ratio_to_peer", "ratio_to_limit", "goal",
    "met",
]  # fmt: skip


def test_a_row_has_the_fields_of_the_contract():
    """In this order, each a JSON value."""
    made = dataclasses.asdict(row("read", "200 titles", 800, "requests/s", peer=40, limit=1000))
    assert list(made) == FIELDS
    assert (made["ratio_to_peer"], made["ratio_to_limit"], made["met"]) == (20, 0.8, None)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("ratio_to_limit", ">=", 0.8), True),
        (Goal("ratio_to_limit", ">=", 0.81), False),
        (Goal("ratio_to_peer", "<=", 20), True),
        (Goal("ours", "<=", 799), False),
    ],
)
def test_a_goal_judges_the_number_it_names(goal, met):
    """Ours, or the ratio to peer or limit."""
    assert row("read", "m", 800, "1/s", peer=40, limit=1000, goal=goal).met is met


def test_a_goal_without_its_peer_is_not_judged():
    """A peer that could not be installed leaves the answer open, never met."""
    assert row("read", "m", 800, "1/s", goal=Goal("ratio_to_peer", ">=", 10)).met is None


def test_the_exponent_of_growth_is_one_for_a_straight_line():
    """Twice the data, twice the time; and flat is zero."""
    assert exponent([1, 4, 16], [3, 12, 48]) == pytest.approx(1)
    assert exponent([1, 4, 16], [5, 5, 5]) == pytest.approx(0, abs=1e-12)
