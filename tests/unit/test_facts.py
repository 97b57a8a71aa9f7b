"""What a task counts for the audits, on rows that are few enough to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from batch.compacting.facts import PartFacts, Reading, added, facts_of
from batch.lake.ema_columns import Columns
from impressions.compiled.sums import Impressions
from impressions.core.rows import Rows
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS
SHARD = shard_of(7, 4)


def read(n: int) -> Impressions:
    """n impressions of profile 7 an hour before the cutover, the first of them a duplicate."""
    ones = np.ones(n, np.int64)
    return Impressions(
        7 * ones, ones, np.zeros(n, np.int32), (CUTOVER_MS - 3_600_000) * 1000 * ones,
        np.arange(n) == 0, np.stack([np.ones(n), np.full(n, 0.5)]),
    )  # fmt: skip


def made(n: int, **change: Any) -> Columns:
    """n rows of profile 7, titles ascending, each 2 impressions."""
    sums = np.full((3, 5, n), 0.5) * np.arange(1, 6)[None, :, None] / 5
    rows: dict[str, Any] = {
        "items": np.arange(1, n + 1) << 8, "last_seen_ms": np.full(n, CUTOVER_MS - 1),
        "totals": np.full((3, n), 2.0), "sums": sums,
    }  # fmt: skip
    profiles, days = np.full(n, 7), np.full(n, -1)
    for name, value in change.items():
        ({"profiles": profiles, "days": days} | rows)[name][..., 0] = value
    return Columns(profiles, days, Rows(**rows))


def facts(columns: Columns, of: Impressions | None = None) -> PartFacts:
    reading = Reading.of(of or read(3), CUTOVER_MS, SPEC)
    return facts_of(reading, columns, SHARD, 4, CUTOVER_MS, SPEC, 1e-9)


def test_good_rows_have_no_faults() -> None:
    found = facts(made(4))
    assert found.raw == {"impressions": 2, "plays": 2, "dwell_s": 1.0}
    assert found.ema == {"impressions": 8, "plays": 8, "dwell_s": 8.0}
    assert (found.read, found.entries, found.bad_values) == (3, 4, {})
    assert (found.shrinking, found.repeated, found.misplaced) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"profiles": -1}, "profile_id"),
        ({"items": -1}, "item"),
        ({"days": CUTOVER_MS // DAY_MS - 1}, "tail_day"),
        ({"last_seen_ms": CUTOVER_MS + SPEC.max_ahead_ms + 1}, "last_seen"),
        ({"last_seen_ms": CUTOVER_MS - 365 * DAY_MS}, "last_seen"),
    ],
)
def test_a_value_that_may_not_be_is_counted(change: dict[str, Any], column: str) -> None:
    assert facts(made(3, **change)).bad_values == {column: 1}


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e-30])
def test_a_number_that_is_none_is_counted(value: float) -> None:
    columns = made(3)
    columns.rows.sums[1, 4, 2] = value
    assert facts(columns).bad_values == {"plays_hl_365d": 1}


def test_sums_that_shrink_are_counted_unless_an_event_lies_ahead() -> None:
    columns = made(3)
    columns.rows.sums[0, 1, :2] = 0.9
    columns.rows.last_seen_ms[0] = CUTOVER_MS + 1
    assert facts(columns).shrinking == 1


def test_rows_that_do_not_come_after_the_one_before_are_counted() -> None:
    columns = made(3)
    columns.rows.items[1] = columns.rows.items[0]
    assert facts(columns).repeated == 1


def test_rows_of_another_shard_are_counted() -> None:
    columns = made(3)
    columns.profiles[:] = next(p for p in range(8, 99) if shard_of(p, 4) != SHARD)
    assert facts(columns).misplaced == 3


def test_nothing_made_of_duplicates() -> None:
    """A shard whose rows were all sent before."""
    found = facts(made(0), read(1))
    assert (found.read, found.entries) == (1, 0)
    assert found.raw == found.ema == {"impressions": 0, "plays": 0, "dwell_s": 0}


def test_facts_of_parts_add_up() -> None:
    one = facts(made(4, days=CUTOVER_MS // DAY_MS))
    both = added([one, one], SPEC)
    assert (both.read, both.entries, both.bad_values) == (6, 8, {"tail_day": 2})
    assert both.ema == {"impressions": 16, "plays": 16, "dwell_s": 16.0}
