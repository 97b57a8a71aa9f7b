"""What an impression adds to a measure is declared in the spec, and all users take it there."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batch.compacting.plain_sums import plain_sums
from impressions.compiled import sums
from impressions.core import impressions
from impressions.core.contribution import contributions
from impressions.core.spec import DAY_MS, Adds, Measure, Spec

ROOT = Path(__file__).parents[2]
PRODUCT = ("impressions", "batch", "speed", "serving", "bulkload")
SPEC = Spec()
OTHER = replace(
    SPEC,
    measures=(
        Measure("seconds", unit="seconds", integral=False, adds=Adds.DWELL_S),
        Measure("seen", unit="count", integral=True, adds=Adds.ONE),
        Measure("watched", unit="count", integral=True, adds=Adds.PLAYED),
    ),
)
"""The measures in another order, under other names."""

PLAYED = np.array([True, False, True])
DWELL_S = np.array([2.5, 0.5, 4.0])
EXPECTED = {Adds.ONE: [1.0, 1.0, 1.0], Adds.PLAYED: [1.0, 0.0, 1.0], Adds.DWELL_S: [2.5, 0.5, 4.0]}
CUTOVER_MS = 20_000 * DAY_MS
USERS = {
    "batch/rules/aggregate.py": "measures",
    "batch/compacting/plain_sums.py": "contributions",
    "impressions/compiled/sums.py": "adds",
    "impressions/core/impressions.py": "contributions",
}
"""All that compute x_m(e), each with what it takes it from."""


def expected(spec: Spec) -> list[list[float]]:
    return [EXPECTED[measure.adds] for measure in spec.measures]


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["the spec", "another spec"])
def test_numpy_columns_add_what_the_spec_declares(spec: Spec) -> None:
    columns = {"played": PLAYED, "dwell_s": DWELL_S}
    assert contributions(columns, 3, spec).tolist() == expected(spec)


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["the spec", "another spec"])
def test_the_stream_adds_what_the_spec_declares(spec: Spec) -> None:
    """Three titles of one profile and slot, lifted to rows."""
    columns = {"played": PLAYED, "dwell_s": DWELL_S}
    added = np.array([columns[name] for name in spec.added_columns], np.float64)
    seen = impressions.Impressions(np.array([1, 2, 3]), np.full(3, CUTOVER_MS), added)
    rows = seen.rows(CUTOVER_MS, spec)
    assert rows.totals.tolist() == expected(spec)
    assert rows.sums[:, 0, :].tolist() == expected(spec)


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["the spec", "another spec"])
def test_a_generation_adds_what_the_spec_declares(spec: Spec) -> None:
    """The numpy form, and the compiled one."""
    columns = {"played": PLAYED.astype(np.float64), "dwell_s": DWELL_S}
    of = sums.Impressions(
        profiles=np.array([7, 7, 7]), titles=np.array([1, 2, 3]),
        locations=np.zeros(3, np.int32), event_us=np.full(3, CUTOVER_MS * 1000),
        left_out=np.zeros(3, np.bool_), values=np.stack([columns[n] for n in spec.added_columns]),
    )  # fmt: skip
    assert plain_sums(of, CUTOVER_MS, spec).rows.totals.tolist() == expected(spec)
    made = sums.sums_of(sums.kernel(), of, CUTOVER_MS, spec)
    assert made.numbers[: len(spec.measures)].tolist() == expected(spec)


def test_no_other_place_says_what_a_measure_adds() -> None:
    """No file of the product maps the names of all measures to anything."""
    names = set(SPEC.measure_names)
    mapping = [
        path.relative_to(ROOT).as_posix()
        for package in PRODUCT
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Dict)
        and names <= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    ]
    assert mapping == []


@pytest.mark.parametrize("user", USERS)
def test_each_user_takes_it_from_the_declaration(user: str) -> None:
    """By name: no user has a column of an impression in a literal of its own."""
    text = (ROOT / user).read_text("utf-8")
    assert USERS[user] in text
    literals = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
    assert not literals & {"played", "dwell_s", "plays"}


def test_the_declaration_leaves_the_fingerprint_as_it_was() -> None:
    """Generations and blocks that exist stay readable."""
    assert (SPEC.fingerprint, SPEC.tag) == ("8aa6c1f46b2d71be", 0x8AA6C1F4)
