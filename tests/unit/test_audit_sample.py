"""What the audit of a sample calls different: rows from files beside those recomputed from raw."""

from __future__ import annotations

import numpy as np
import pytest

from batch.compacting.audit_sample import differences
from batch.lake.ema_columns import Columns
from impressions.core.item import pack
from impressions.core.rows import Rows
from impressions.core.spec import Spec

SPEC = Spec()


def rows_of(profiles: list[int], plays: float = 1.0, decayed: float = 0.5) -> Columns:
    """A row of title 9 for each profile, at location 0: two impressions, 3 s."""
    n = len(profiles)
    totals = np.repeat([[2.0], [plays], [3.0]], n, axis=1)
    sums = np.full((len(SPEC.measures), len(SPEC.half_lives_days), n), decayed)
    items = pack(np.full(n, 9), np.zeros(n, np.int64))
    rows = Rows(items, np.full(n, 1_000), totals, sums)
    return Columns(np.array(profiles), np.full(n, -1), rows)


def told(found: list[Columns], expected: list[Columns]) -> list[str]:
    return differences(found, expected, SPEC, 1e-9)


def test_pieces_may_end_anywhere() -> None:
    """The same rows, cut in other places, are the same; so are none."""
    assert told([rows_of([1]), rows_of([2, 3])], [rows_of([1, 2]), rows_of([3])]) == []
    assert told([], []) == []


def test_sums_may_differ_in_their_last_bits_and_counts_in_none() -> None:
    """1e-10 passes, 1e-8 is named; of plays 1e-10 is named, too."""
    assert told([rows_of([1], decayed=0.5 * (1 + 1e-10))], [rows_of([1])]) == []
    assert len(told([rows_of([1], decayed=0.5 * (1 + 1e-8))], [rows_of([1])])) == 10
    [said] = told([rows_of([1], plays=1 + 1e-10)], [rows_of([1])])
    assert said.startswith("profile 1 title 9 location 0 plays: ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_what_is_no_such_number_is_named(value: float) -> None:
    """Also on both sides, where it is none at all."""
    assert told([rows_of([1], decayed=value)], [rows_of([1])])
    assert told([rows_of([1])], [rows_of([1], decayed=value)])
    assert bool(told([rows_of([1], decayed=np.nan)], [rows_of([1], decayed=np.nan)]))


def test_rows_of_one_side_only_are_named() -> None:
    """Which profile, and on which side it is missing; the same rows twice are said as such."""
    assert told([rows_of([1, 2])], [rows_of([1])]) == ["profile 2 title 9 location 0: not in raw"]
    assert told([rows_of([1])], [rows_of([1, 2])]) == ["profile 2 title 9 location 0: missing"]
    assert told([rows_of([1, 1])], [rows_of([1])]) == ["rows repeated, or out of order"]
