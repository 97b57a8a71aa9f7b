"""merge = oracle, for any events, any cut between batch and stream, any split, any query time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core import window
from impressions.core.errors import UsageError
from impressions.core.merge import Selection, merge, owned_by_stream, plus, shift
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block, profile_block
from oracle import naive
from tests.blocks import delta_blocks_of, prepare, profile_block_of
from tests.compare import as_dict, differences
from tests.faults.size import scaled
from tests.tolerance import FLOAT32_STORED, FLOAT64

SPEC = Spec()
HOURLY = Spec(slot_ms=3_600_000)
CUTOVER_MS = 20_000 * DAY_MS
PROFILE = 7

impressions = st.fixed_dictionaries(
    {
        "title": st.sampled_from([0, 1, 2, 3, 2**55 - 1]),
        "location": st.sampled_from([0, 1, 255]),
        "late_ms": st.one_of(
            st.integers(-10 * 60_000, 10 * 60_000), st.integers(0, 340 * DAY_MS),
            st.sampled_from([337 * DAY_MS, 337 * DAY_MS + 1, -5 * 60_000, -5 * 60_000 - 1]),
        ),
        "played": st.integers(0, 1),
        "dwell_s": st.floats(0, 3600).filter(lambda x: x == 0 or x > 1e-6),
    }
)  # fmt: skip
logs = st.lists(
    st.tuples(
        st.integers(-400 * DAY_MS, 27 * DAY_MS),
        st.one_of(st.none(), st.integers(1, 5)),
        st.lists(impressions, min_size=1, max_size=4),
    ),
    max_size=12,
)
query_after_ms = st.one_of(
    st.integers(0, 28 * DAY_MS - 1),
    st.integers(0, 27).map(lambda d: d * DAY_MS),
    st.integers(0, 27).map(lambda d: d * DAY_MS + DAY_MS - 1),
)


def accepted(raw, cutover_ms=CUTOVER_MS):
    """The drawn logs as the oracle sees them: in order of arrival, event times absolute."""
    arrivals = [
        (PROFILE, log_id, cutover_ms + offset_ms,
         [{**e, "event_ms": cutover_ms + offset_ms - e["late_ms"]} for e in events])
        for offset_ms, log_id, events in sorted(raw, key=lambda log: log[0])
    ]  # fmt: skip
    return naive.accept(arrivals)[0]


def blocks_of(applied, cutover_ms, spec):
    block = profile_block_of([e for _, e, a in applied if a < cutover_ms], cutover_ms, spec)
    deltas = delta_blocks_of([(e, a) for _, e, a in applied if a >= cutover_ms], spec)
    return profile_block.decode(block, spec), deltas


@settings(max_examples=scaled(300, 2_000), deadline=None)
@given(logs, query_after_ms, st.integers(0, 23))
def test_merged_blocks_equal_the_oracle(raw, after_ms, cutover_hour):
    """Batch and stream together give what one pass over the raw events gives, at any cutover."""
    cutover_ms = CUTOVER_MS + cutover_hour * HOURLY.slot_ms
    query_ms = min(cutover_ms + after_ms, window.horizon_ms(cutover_ms, HOURLY) - 1)
    applied = [(p, e, a) for p, e, a in accepted(raw) if e["event_ms"] <= query_ms + DAY_MS]
    block, deltas = blocks_of(applied, cutover_ms, HOURLY)
    rows = merge(query_ms, cutover_ms, block, deltas, HOURLY)
    expected = naive.answers(applied, query_ms)
    assert differences(as_dict(PROFILE, rows, HOURLY), expected, FLOAT32_STORED) == []


@settings(max_examples=scaled(150, 2_000), deadline=None)
@given(logs, query_after_ms)
def test_streamed_alone_is_float64(raw, after_ms):
    """Delta blocks store float64: without a generation the oracle is met within 1e-9."""
    applied = [(p, e, a) for p, e, a in accepted(raw) if a >= CUTOVER_MS]
    deltas = delta_blocks_of([(e, a) for _, e, a in applied], SPEC)
    rows = merge(CUTOVER_MS + after_ms, None, None, deltas, SPEC)
    expected = naive.answers(applied, CUTOVER_MS + after_ms)
    assert differences(as_dict(PROFILE, rows, SPEC), expected, FLOAT64) == []


@settings(max_examples=scaled(150, 2_000), deadline=None)
@given(logs, query_after_ms, st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_split_and_order_of_the_events_gives_the_same(raw, after_ms, rng, pieces):
    """plus is commutative and associative: pieces of the events, in any order, add up alike."""
    query_ms = CUTOVER_MS + after_ms
    events = [e for _, e, _ in accepted(raw)]
    whole = plus([prepare(events, query_ms, SPEC)], SPEC) if events else plus([], SPEC)
    rng.shuffle(events)
    parts = [events[i::pieces] for i in range(pieces)]
    references = [CUTOVER_MS + rng.randrange(-100, 100) * DAY_MS for _ in parts]
    moved = [
        shift(plus([prepare(part, ref, SPEC)], SPEC), ref, query_ms, SPEC)
        for part, ref in zip(parts, references, strict=True)
        if part
    ]
    total = plus(moved, SPEC)
    assert differences(as_dict(1, total, SPEC), as_dict(1, whole, SPEC), FLOAT64) == []


@settings(max_examples=scaled(100, 2_000), deadline=None)
@given(logs, query_after_ms, st.integers(1, 6))
def test_generation_invariance(raw, after_ms, weeks):
    """Two generations beside the same deltas give the same answer at the same query time."""
    later_ms = CUTOVER_MS + weeks * DAY_MS
    query_ms = min(later_ms + after_ms, window.horizon_ms(CUTOVER_MS, SPEC) - 1)
    applied = accepted(raw)
    deltas = delta_blocks_of([(e, a) for _, e, a in applied], SPEC)
    answers = []
    for cutover_ms in (CUTOVER_MS, later_ms):
        block, _ = blocks_of(applied, cutover_ms, SPEC)
        answers.append(as_dict(PROFILE, merge(query_ms, cutover_ms, block, deltas, SPEC), SPEC))
    assert differences(*answers, FLOAT32_STORED) == []


@settings(max_examples=scaled(150, 2_000), deadline=None)
@given(
    logs, query_after_ms,
    st.lists(st.sampled_from([0, 1, 2, 9, 2**55 - 1]), max_size=4, unique=True).map(sorted),
    st.one_of(st.none(), st.lists(st.sampled_from([0, 1, 255, 7]), max_size=3)),
)  # fmt: skip
def test_a_selection_is_the_answer_filtered(raw, after_ms, titles, locations):
    """Selecting titles and locations before the merge equals filtering after it."""
    applied, query_ms = accepted(raw), CUTOVER_MS + after_ms
    block, deltas = blocks_of(applied, CUTOVER_MS, SPEC)
    selection = Selection(
        np.array(titles, np.int64), None if locations is None else np.array(locations, np.int64)
    )
    rows = merge(query_ms, CUTOVER_MS, block, deltas, SPEC, selection)
    everything = as_dict(PROFILE, merge(query_ms, CUTOVER_MS, block, deltas, SPEC), SPEC)
    wanted = {
        key: row
        for key, row in everything.items()
        if key[1] in titles and (locations is None or key[2] in locations)
    }
    assert differences(as_dict(PROFILE, rows, SPEC), wanted, FLOAT64) == []


def event(title: int, event_ms: int, location: int = 0) -> dict:
    return {"title": title, "location": location, "event_ms": event_ms, "played": 1, "dwell_s": 2.5}


def test_slots_before_the_cutover_are_the_generations():
    """A delta block of the last slot before the cutover is ignored, one at the cutover counts."""
    pair = [(event(1, CUTOVER_MS - 1), CUTOVER_MS - 1), (event(1, CUTOVER_MS), CUTOVER_MS)]
    deltas = delta_blocks_of(pair, SPEC)
    assert [d.slot_start_ms for d in owned_by_stream(deltas, CUTOVER_MS)] == [CUTOVER_MS]
    rows = merge(CUTOVER_MS, CUTOVER_MS, None, deltas, SPEC)
    assert rows.totals[0].tolist() == [1.0]


def test_a_query_before_the_cutover_is_refused_with_both_times():
    """Events after the query time are in the sums already, so no answer would be right."""
    with pytest.raises(UsageError, match=r"2024-10-03T23:59:59.999Z .* 2024-10-04T00:00:00Z"):
        merge(CUTOVER_MS - 1, CUTOVER_MS, None, [], SPEC)


def test_a_day_leaves_the_window_at_midnight():
    """The oldest day of the window is in until 23:59:59.999 and out a millisecond later."""
    oldest_ms = (20_000 - 364) * DAY_MS
    block = profile_block.decode(profile_block_of([event(1, oldest_ms)], CUTOVER_MS, SPEC), SPEC)
    last_ms = CUTOVER_MS + DAY_MS - 1
    assert len(merge(last_ms, CUTOVER_MS, block, [], SPEC)) == 1
    assert len(merge(last_ms + 1, CUTOVER_MS, block, [], SPEC)) == 0


def test_an_old_event_keeps_its_relative_precision():
    """365 half-lives of one day are far below float32; the stored form keeps all its digits."""
    event_ms = CUTOVER_MS - 364 * DAY_MS + 12_345
    block = profile_block.decode(profile_block_of([event(1, event_ms)], CUTOVER_MS, SPEC), SPEC)
    rows = merge(CUTOVER_MS, CUTOVER_MS, block, [], SPEC)
    assert rows.sums[0, 0, 0] == pytest.approx(2.0 ** (-364 + 12_345 / DAY_MS), rel=1e-6)
    assert 0 < rows.sums[0, 0, 0] < 1e-100


def test_nothing_is_the_zero():
    """No block and no delta is an answer without rows."""
    assert len(merge(CUTOVER_MS, CUTOVER_MS, None, [], SPEC)) == 0
    assert len(plus([], SPEC)) == 0
    assert delta_block.key(1, 2) == bytes(7) + b"\x01" + bytes(7) + b"\x02"
