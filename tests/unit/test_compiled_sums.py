"""The compiled sums of a generation equal the numpy form on drawn rows; seeds are in the ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from batch.compacting.plain_sums import plain_sums, raw_totals
from impressions.compiled import sums
from impressions.compiled.sums import Impressions, Sums
from impressions.core import window
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION, MAX_PROFILE, MAX_TITLE
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()
OTHER = Spec(half_lives_days=(3, 10, 365), window_days=90, tail_days=7)
CUTOVER_MS = 20_772 * DAY_MS + 3_600_000


def drawn(seed: int, spec: Spec, files: int = 5) -> Impressions:
    """Sorted files behind one another, with edges of ids, of the window and of the tail."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 3_000))
    edge_days = window.first_day(CUTOVER_MS, spec) + np.array([-1, 0, 1, 5, spec.tail_days])
    event_ms = CUTOVER_MS - rng.integers(-300_000, (spec.window_days + 9) * DAY_MS, n)
    at_edge = rng.random(n) < 0.2
    event_ms[at_edge] = rng.choice(edge_days, at_edge.sum()) * DAY_MS
    profiles = rng.choice([0, 3, 7, 8, MAX_PROFILE], n)
    titles = rng.choice([0, 1, 2, 3, 500, MAX_TITLE], n)
    order = np.lexsort((event_ms, titles, profiles, rng.integers(0, files, n)))
    return Impressions(
        profiles=profiles[order],
        titles=titles[order],
        locations=rng.choice([0, 1, MAX_LOCATION], n).astype(np.int32),
        event_us=event_ms[order] * 1000 + rng.integers(0, 2, n),
        left_out=rng.random(n) < 0.1,
        values=np.stack([rng.random(n) < 0.3, np.round(rng.exponential(3, n), 3)]),
    )


def compiled(of: Impressions, spec: Spec) -> Sums:
    return sums.sums_of(sums.kernel(), of, CUTOVER_MS, spec)


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["the spec", "another spec"])
@pytest.mark.parametrize("seed", range(20))
def test_they_are_those_of_the_definition(seed: int, spec: Spec) -> None:
    """Keys, days, last seen and counts exactly; sums but for their last bits."""
    of = drawn(seed, spec)
    got, want = compiled(of, spec), plain_sums(of, CUTOVER_MS, spec)
    assert got.profiles.tolist() == want.profiles.tolist()
    assert got.items.tolist() == want.rows.items.tolist()
    assert got.days.tolist() == want.days.tolist()
    assert got.last_seen_ms.tolist() == want.rows.last_seen_ms.tolist()
    measures = len(spec.measures)
    assert np.array_equal(got.numbers[:2], want.rows.totals[:2])
    np.testing.assert_allclose(got.numbers[:measures], want.rows.totals, rtol=1e-12)
    decayed = want.rows.sums.reshape(-1, len(want.rows))
    np.testing.assert_allclose(got.numbers[measures:], decayed, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_added_in_the_order_they_come(seed: int) -> None:
    """Bit by bit what a loop gives, title by title: so a rerun gives the same bytes."""
    of = drawn(seed, SPEC)
    got = compiled(of, SPEC)
    for i in range(len(got.items)):
        mine = (of.profiles == got.profiles[i]) & (of.titles == got.items[i] >> 8)
        mine &= (of.locations == got.items[i] & 255) & ~of.left_out
        tail = window.tail_days(CUTOVER_MS, SPEC)
        days = of.event_us // 1000 // DAY_MS
        kept = np.where(days < tail.stop, days, -1)
        mine &= (kept == got.days[i]) & (days >= tail.start)
        total = 0.0
        for x in of.values[1][mine].tolist():
            total += x
        assert got.numbers[2, i] == total


def test_a_kernel_that_lost_a_row_would_not_balance() -> None:
    """What was read is added up without keys, so it is another number than the kernel's."""
    of = drawn(1, SPEC)
    totals = raw_totals(of, CUTOVER_MS, SPEC)
    made = compiled(of, SPEC).numbers
    assert totals["impressions"] == made[0].sum()
    assert totals["plays"] == made[1].sum()
    assert totals["dwell_s"] == pytest.approx(made[2].sum(), rel=1e-12)


@pytest.mark.parametrize("location", [-1, MAX_LOCATION + 1])
def test_a_location_that_is_none_is_refused_by_both(location: int) -> None:
    of = replace(drawn(2, SPEC), left_out=np.zeros(len(drawn(2, SPEC).profiles), np.bool_))
    bad = replace(of, locations=np.full(len(of.profiles), location, np.int32))
    for form in (lambda: compiled(bad, SPEC), lambda: plain_sums(bad, CUTOVER_MS, SPEC)):
        with pytest.raises(CorruptData, match=r"outside of 0\.\.255"):
            form()


def test_a_location_of_a_duplicate_is_not_looked_at_by_either() -> None:
    of = replace(drawn(2, SPEC), left_out=np.ones(len(drawn(2, SPEC).profiles), np.bool_))
    bad = replace(of, locations=np.full(len(of.profiles), -1, np.int32))
    assert len(compiled(bad, SPEC).items) == len(plain_sums(bad, CUTOVER_MS, SPEC).rows) == 0


def test_no_rows_no_sums() -> None:
    none = Impressions(
        *(np.empty(0, np.int64) for _ in range(2)), np.empty(0, np.int32), np.empty(0, np.int64),
        np.empty(0, np.bool_), np.empty((2, 0)),
    )  # fmt: skip
    assert len(compiled(none, SPEC).items) == len(plain_sums(none, CUTOVER_MS, SPEC).rows) == 0
