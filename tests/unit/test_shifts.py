"""Rows of a generation from those of the generation before: compiled, in numpy, and from scratch.

Worlds are drawn; seeds are in the ids. Dwell is in whole milliseconds, as devices measure it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from batch.compacting.incremental.comparing import SAME_SUM, compared
from batch.compacting.incremental.plain_shift import plain_shift
from batch.compacting.plain_sums import plain_sums
from batch.compacting.raw_rows import joined, some_of
from batch.lake.ema_columns import Columns, columns_of_sums
from impressions.compiled import shifts
from impressions.compiled.shifts import BROKEN, FINER, LOST, Old, Unfit
from impressions.compiled.sums import Impressions
from impressions.core import window
from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION, MAX_PROFILE, MAX_TITLE
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()
OTHER = Spec(half_lives_days=(3, 10, 365), window_days=90, tail_days=7)
CUTOVER_MS = 20_772 * DAY_MS
HOUR_MS = DAY_MS // 24


@dataclass(frozen=True)
class World:
    """Impressions in the order of files, and when each was ingested."""

    of: Impressions
    ingest_ms: Int

    def at(self, cutover_ms: int) -> Impressions:
        """Those that a generation owns."""
        return some_of(self.of, np.flatnonzero(self.ingest_ms < cutover_ms))

    def entering(self, from_ms: int, to_ms: int, spec: Spec) -> Impressions:
        low, high = (window.tail_days(ms, spec).stop for ms in (from_ms, to_ms))
        day = self.of.event_us // 1000 // DAY_MS
        chosen = (self.ingest_ms < from_ms) & (day >= low) & (day < high) & ~self.of.left_out
        return some_of(self.of, np.flatnonzero(chosen))

    def new(self, from_ms: int, to_ms: int) -> Impressions:
        return some_of(
            self.of, np.flatnonzero((self.ingest_ms >= from_ms) & (self.ingest_ms < to_ms))
        )


def drawn(seed: int, spec: Spec, n: int = 2_000, weeks: int = 8) -> World:
    """Late and early events, edges of days, few impressions of most keys; titles that vanish."""
    rng = np.random.default_rng(seed)
    span_ms = (spec.window_days + 40) * DAY_MS
    ingest_ms = CUTOVER_MS + weeks * 7 * DAY_MS - rng.integers(0, span_ms, n)
    late_ms = np.where(
        rng.random(n) < 0.8,
        rng.integers(-spec.max_ahead_ms, DAY_MS, n),
        rng.integers(0, spec.max_late_ms + 1, n),
    )
    event_ms = ingest_ms - late_ms
    at_edge = rng.random(n) < 0.1
    event_ms[at_edge] = event_ms[at_edge] // DAY_MS * DAY_MS
    event_ms = np.maximum(event_ms, ingest_ms - spec.max_late_ms)
    profiles = rng.choice([0, 3, 7, 8, MAX_PROFILE], n)
    titles = rng.choice([0, 1, 2, 3, 500, *range(600, 800), MAX_TITLE], n)
    order = np.lexsort((event_ms, titles, profiles, rng.integers(0, 4, n)))
    dwell = np.round(rng.exponential(3, n), 3) * (rng.random(n) < 0.8)
    of = Impressions(
        profiles=profiles,
        titles=titles,
        locations=rng.choice([0, 1, MAX_LOCATION], n).astype(np.int32),
        event_us=event_ms * 1000 + rng.integers(0, 1000, n),
        left_out=rng.random(n) < 0.1,
        values=np.stack([rng.random(n) < 0.3, dwell]),
    )
    return World(some_of(of, order), ingest_ms[order])


def old_of(made: Columns) -> Old:
    rows = made.rows
    return Old(made.profiles, rows.items, made.days, rows.last_seen_ms, rows.totals, rows.flat_sums)


def both(
    old: Columns, entering: Impressions, new: Impressions, from_ms: int, to_ms: int, spec: Spec
) -> tuple[Columns, Columns]:
    """Compiled, and in numpy."""
    given = old_of(old), joined(entering, new), len(entering.profiles), from_ms, to_ms, spec
    return columns_of_sums(shifts.shifted_by(shifts.kernel(), *given), spec), plain_shift(*given)


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["the spec", "another spec"])
@pytest.mark.parametrize("seed", range(10))
def test_a_chain_of_cutovers_equals_each_from_scratch(seed: int, spec: Spec) -> None:
    """Steps of hours, of a day, of a week and of as many days as there is a tail: counts, times and
    keys exactly, sums within 1e-9, each step on the rows of the step before."""
    world, rng = drawn(seed, spec), np.random.default_rng(seed)
    at_ms = CUTOVER_MS
    rows = plain_sums(world.at(at_ms), at_ms, spec)
    for _ in range(8):
        days = int(rng.choice([0, 1, 3, 7, 7, 7, spec.tail_days]))
        to_ms = at_ms + days * DAY_MS + int(rng.choice([0, 0, 5 * HOUR_MS])) * (days < 7)
        entering, new = world.entering(at_ms, to_ms, spec), world.new(at_ms, to_ms)
        compiled, plain = both(rows, entering, new, at_ms, to_ms, spec)
        scratch = plain_sums(world.at(to_ms), to_ms, spec)
        for made in (compiled, plain):
            found = compared([made], scratch, spec)
            assert found.is_same, f"seed {seed}, {days} days: {found}"
        rows, at_ms = compiled, to_ms
    assert len(rows.rows) > 100


def one(dwell_s: float, event_ms: int, profile: int = 1) -> Impressions:
    """An impression of title 1."""
    column = np.array([profile])
    return Impressions(
        column, np.array([1]), np.zeros(1, np.int32), np.array([event_ms * 1000]),
        np.zeros(1, np.bool_), np.array([[0.0], [dwell_s]]),
    )  # fmt: skip


FROM_MS, TO_MS = CUTOVER_MS, CUTOVER_MS + 7 * DAY_MS
ENTERS_MS = window.tail_days(FROM_MS, SPEC).stop * DAY_MS + HOUR_MS
STAYS_MS = FROM_MS - 30 * DAY_MS
NONE = some_of(one(0, 0), np.zeros(0, np.int64))


def unfit(of: Impressions, entering: Impressions, new: Impressions = NONE) -> list[int]:
    """Why neither form has the rows."""
    rows = plain_sums(of, FROM_MS, SPEC)
    given = old_of(rows), joined(entering, new), len(entering.profiles), FROM_MS, TO_MS, SPEC
    why = []
    for form in (lambda *g: shifts.shifted_by(shifts.kernel(), *g), plain_shift):
        with pytest.raises(Unfit) as caught:
            form(*given)
        why.append(caught.value.why)
    return why


def test_dwell_finer_than_microseconds_is_not_taken_out() -> None:
    """Of what enters, of what is new, and of what is there already."""
    fine, whole = one(1 / 3, ENTERS_MS), one(0.25, ENTERS_MS)
    assert unfit(joined(fine, one(1.0, STAYS_MS)), fine) == [FINER, FINER]
    assert unfit(whole, whole, one(1 / 3, FROM_MS)) == [FINER, FINER]
    assert unfit(joined(whole, one(1 / 3, STAYS_MS)), whole) == [FINER, FINER]


def test_a_sum_of_which_hardly_anything_is_left_is_not_taken() -> None:
    """A day of dwell leaves, a millisecond stays: what is left would be noise."""
    large = one(86_400.0, ENTERS_MS)
    assert unfit(joined(large, one(0.001, STAYS_MS)), large) == [LOST, LOST]


def test_nothing_is_taken_out_that_was_not_in() -> None:
    """Of a key that is not there, and twice of one that is."""
    event = one(1.0, ENTERS_MS)
    assert unfit(one(1.0, STAYS_MS, profile=2), event) == [BROKEN, BROKEN]
    assert unfit(event, joined(event, event)) == [BROKEN, BROKEN]


def test_a_key_that_only_has_old_days_leaves_the_body_and_then_the_window() -> None:
    """First its day stands in the tail alone, then it is gone."""
    event = one(2.5, ENTERS_MS)
    for made in both(plain_sums(event, FROM_MS, SPEC), event, NONE, FROM_MS, TO_MS, SPEC):
        assert made.days.tolist() == [ENTERS_MS // DAY_MS]
        assert made.rows.totals.tolist() == [[1.0], [0.0], [2.5]]
        later_ms = TO_MS + 28 * DAY_MS
        for gone in both(made, NONE, NONE, TO_MS, later_ms, SPEC):
            assert len(gone.rows) == 0


def test_a_measure_of_which_nothing_is_left_has_sums_of_nothing() -> None:
    """0.1 + 0.2 - 0.2 - 0.1 is not 0 in doubles; in microseconds it is."""
    leave = joined(one(0.1, ENTERS_MS), one(0.2, ENTERS_MS + 1))
    rows = plain_sums(joined(leave, one(0.0, STAYS_MS)), FROM_MS, SPEC)
    for made in both(rows, leave, NONE, FROM_MS, TO_MS, SPEC):
        body = made.days == -1
        assert made.rows.totals[:, body].tolist() == [[1.0], [0.0], [0.0]]
        assert not made.rows.sums[1:, :, body].any()


def test_a_location_that_is_none_is_refused() -> None:
    event = one(1.0, FROM_MS)
    event.locations[0] = 256
    rows = plain_sums(one(1.0, STAYS_MS), FROM_MS, SPEC)
    with pytest.raises(CorruptData, match="location"):
        both(rows, NONE, event, FROM_MS, TO_MS, SPEC)


def test_the_bound_of_a_difference_is_that_of_the_audits() -> None:
    assert SAME_SUM == 1e-9
