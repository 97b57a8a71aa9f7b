"""What `make bench` writes: ratios, goals and the fields that whoever compares runs relies on."""

import ast
import dataclasses
import math
from pathlib import Path

import pytest

from benchmarks.__main__ import STAGES
from benchmarks.frame import Goal, TooLong, exponent, in_turns, or_nan, row

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


def test_a_peer_that_fails_loses_its_own_columns_only(capsys):
    """From its failure on it is asked no more; the reason is said, and the row of ours stands."""
    asked = []

    def failing() -> float:
        asked.append(1)
        if len(asked) == 2:
            raise RuntimeError("no such server")
        return 1.0

    found = in_turns({"ours": lambda: 2.0, "peer": or_nan("the peer", failing)}, runs=3)
    made = row("read", "m", found["ours"], "1/s", peer=found["peer"],
               goal=Goal("ratio_to_peer", ">=", 10))  # fmt: skip
    assert (len(asked), made.ours, made.peer, made.ratio_to_peer, made.met) == (2, 2.0, *[None] * 3)
    assert "the peer failed" in (said := capsys.readouterr().err)
    assert "no such server" in said


def test_a_stage_that_takes_too_long_is_not_taken_for_a_failing_peer():
    """The end of a stage's time passes through."""

    def late() -> float:
        raise TooLong

    with pytest.raises(TooLong):
        or_nan("the peer", late)()


def test_a_number_that_is_none_leaves_its_column_empty():
    """A NaN of a peer leaves what stands beside it as it is."""
    made = row("read", "m", 800, "1/s", peer=math.nan, limit=1000)
    assert (made.peer, made.ratio_to_peer, made.ratio_to_limit) == (None, None, 0.8)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_module_that_says_what_it_compares(stage):
    """With a docstring and a `run`; docs/performance.md and the package's list have it."""
    home = Path(__file__).parents[2]
    module = ast.parse((home / "benchmarks" / f"{stage}.py").read_text())
    assert ast.get_docstring(module)
    assert "run" in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    assert stage in (home / "benchmarks" / "__init__.py").read_text()
    assert stage in (home / "docs" / "performance.md").read_text().partition("## The last table")[0]


def test_the_exponent_of_growth_is_one_for_a_straight_line():
    """Twice the data, twice the time; and flat is zero."""
    assert exponent([1, 4, 16], [3, 12, 48]) == pytest.approx(1)
    assert exponent([1, 4, 16], [5, 5, 5]) == pytest.approx(0, abs=1e-12)
