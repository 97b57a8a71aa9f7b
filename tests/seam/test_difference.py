"""What differs between two answers: nothing for one set of events, however it is cut; else each."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from impressions.core import window
from impressions.core.merge import merge
from impressions.core.spec import DAY_MS
from impressions.formats import profile_block
from impressions.seam.difference import LAST_SEEN, TOLERANCE, differences
from oracle import naive
from tests.blocks import delta_blocks_of, prepare, profile_block_of
from tests.bulkload.world import NEW_MS, OLD_MS
from tests.faults.size import scaled
from tests.generations import SPEC
from tests.seam.support import events_of

PROFILE = 7
CASES = scaled(200, 2_000)
EVENT = {"title": 3, "location": 1, "event_ms": OLD_MS, "played": 1, "dwell_s": 2.5}


def answered(applied, cutover_ms, query_ms, deltas_of=None):
    """Of the generation with this cutover, beside the deltas of `deltas_of` (all events)."""
    owned = [event for _, event, at_ms in applied if at_ms < cutover_ms]
    block = profile_block.decode(profile_block_of(owned, cutover_ms, SPEC), SPEC)
    of = applied if deltas_of is None else deltas_of
    deltas = delta_blocks_of([(event, at_ms) for _, event, at_ms in of], SPEC)
    return merge(query_ms, cutover_ms, block, deltas, SPEC)


cuts = st.tuples(st.integers(0, 24), st.integers(0, 24), st.floats(0, 1))


def asked_between(first_day, last_day, part):
    """Two cutovers up to 24 days before the newest event, and a time at which both are exact."""
    first_ms, last_ms = sorted(NEW_MS - day * DAY_MS for day in (first_day, last_day))
    until_ms = window.horizon_ms(first_ms, SPEC)
    return first_ms, last_ms, last_ms + int(part * (until_ms - 1 - last_ms))


@settings(max_examples=CASES, deadline=None)
@given(st.integers(0, 10_000), cuts)
def test_old_plus_deltas_is_new_plus_deltas(seed, cut):
    """Random events with late ones, any two cutovers, any time within both horizons: nothing."""
    events = events_of(seed, [PROFILE])
    first_ms, last_ms, query_ms = asked_between(*cut)
    old, new = (answered(events, at_ms, query_ms) for at_ms in (first_ms, last_ms))
    assert differences(PROFILE, old, new, SPEC) == []


@settings(max_examples=CASES, deadline=None)
@given(st.integers(0, 10_000), cuts, st.data())
def test_an_event_that_one_side_lacks_is_named_with_the_oracles_numbers(seed, cut, data):
    """Its title and location, and how many impressions each side counts."""
    events = events_of(seed, [PROFILE])
    first_ms, last_ms, query_ms = asked_between(*cut)
    in_window = [
        e
        for e in events
        if e[2] < last_ms and window.utc_day(e[1]["event_ms"]) >= window.first_day(query_ms, SPEC)
    ]
    assume(in_window)
    lost = data.draw(st.sampled_from(in_window))
    rest = [e for e in events if e is not lost]
    old = answered(events, first_ms, query_ms)
    new = answered(rest, last_ms, query_ms, deltas_of=events)
    found = differences(PROFILE, old, new, SPEC)
    at = PROFILE, lost[1]["title"], lost[1]["location"]
    none = {"impressions": 0}
    before, after = (naive.answers(of, query_ms).get(at, none) for of in (events, rest))
    first = found[0]
    assert (first.profile_id, first.title_id, first.location) == at
    assert (first.measure, first.half_life_days) == ("impressions", None)
    assert (first.old, first.new) == (
        before["impressions"],
        (after or {"impressions": 0})["impressions"],
    )
    assert {(d.title_id, d.location) for d in found} == {at[1:]}, "no other row is named"


def test_equal_counts_at_another_time_differ_in_sums_and_say_which():
    """An event moved by an hour: totals agree, so each half-life that notices is named."""
    moved = {**EVENT, "event_ms": OLD_MS - 3_600_000}
    old, new = (prepare([event], NEW_MS, SPEC) for event in (EVENT, moved))
    found = differences(PROFILE, old, new, SPEC)
    half_lives = [d.half_life_days for d in found if d.measure == "impressions"]
    assert half_lives == list(SPEC.half_lives_days)
    assert {d.measure for d in found} == {"impressions", "plays", "dwell_s"}
    assert "half-life 1 d" in str(found[0])


def test_a_last_seen_alone_is_a_difference():
    """Times are exact."""
    old = prepare([EVENT], NEW_MS, SPEC)
    new = prepare([EVENT], NEW_MS, SPEC)
    new.last_seen_ms[0] += 1
    (found,) = differences(PROFILE, old, new, SPEC)
    assert (found.measure, found.new - found.old) == (LAST_SEEN, 1)


@pytest.mark.parametrize(("times", "named"), [(0.9, 0), (1.1, 1)])
def test_the_tolerance_is_relative(times, named):
    """Just below it nothing is named, just above it the sum is, however small the sum is."""
    old, new = (prepare([EVENT], OLD_MS + 300 * DAY_MS, SPEC) for _ in range(2))
    assert new.sums[0, 0, 0] < 1e-80
    new.sums[0, 0, 0] *= 1 + times * TOLERANCE
    assert len(differences(PROFILE, old, new, SPEC)) == named


def test_counts_have_no_tolerance_and_rows_may_be_missing_on_either_side():
    """One in ten million is named; a row that only one side has counts as zeros."""
    old, new = (prepare([EVENT], NEW_MS, SPEC) for _ in range(2))
    old.totals[0, 0], new.totals[0, 0] = 10_000_000, 10_000_001
    assert [d.measure for d in differences(PROFILE, old, new, SPEC)] == ["impressions"]
    nothing = old.take(np.empty(0, np.intp))
    for one, other in ((old, nothing), (nothing, new)):
        assert [d.measure for d in differences(PROFILE, one, other, SPEC)] == [
            "impressions", "plays", "dwell_s"
        ]  # fmt: skip
    assert differences(PROFILE, nothing, nothing, SPEC) == []
