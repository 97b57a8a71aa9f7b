"""The seam between batch and stream: each event counts once, wherever it is cut, from any side."""

from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core import window
from impressions.core.completeness import Incomplete, reasons
from impressions.core.merge import merge
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import profile_block
from oracle import naive
from tests.blocks import delta_blocks_of, profile_block_of
from tests.compare import as_dict, differences
from tests.faults.size import scaled
from tests.tolerance import FLOAT32_STORED

SPEC, PROFILE = Spec(), 7
MIDNIGHT_MS = 20_772 * DAY_MS  # 2026-11-15
CASES = scaled(200, 2_000)

around_midnight = st.one_of(
    st.integers(-2, 2), st.integers(-10 * 60_000, 10 * 60_000), st.integers(-DAY_MS, DAY_MS)
)
arrivals = st.lists(
    st.tuples(
        st.integers(-2, 2),  # which midnight
        around_midnight,
        st.integers(-6 * 60_000, 2 * DAY_MS),  # how late
        st.sampled_from([1, 2]),
        st.one_of(st.none(), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=12,
)


def accepted(drawn):
    """The drawn events as the oracle counts them, in order of arrival."""
    logs = []
    for midnight, after_ms, late_ms, title, log_id in drawn:
        at_ms = MIDNIGHT_MS + midnight * DAY_MS + after_ms
        event = {"title": title, "location": 0, "played": 1, "dwell_s": 1.5}
        logs.append((PROFILE, log_id, at_ms, [{**event, "event_ms": at_ms - late_ms}]))
    return naive.accept(sorted(logs, key=lambda log: log[2]))[0]


def answered(applied, cutover_ms: int, query_ms: int) -> dict:
    """From the generation with this cutover, beside the deltas of everything there is."""
    owned = [event for _, event, at_ms in applied if at_ms < cutover_ms]
    block = profile_block.decode(profile_block_of(owned, cutover_ms, SPEC), SPEC)
    deltas = delta_blocks_of([(event, at_ms) for _, event, at_ms in applied], SPEC)
    return as_dict(PROFILE, merge(query_ms, cutover_ms, block, deltas, SPEC), SPEC)


@settings(max_examples=CASES, deadline=None)
@given(arrivals, st.integers(-3, 3), st.integers(0, DAY_MS))
def test_each_event_counts_once_for_any_cutover(drawn, nights, after_ms):
    """Ingested a millisecond before, on and after midnights; the cutover is any of them."""
    applied, cutover_ms = accepted(drawn), MIDNIGHT_MS + nights * DAY_MS
    query_ms = max(cutover_ms, MIDNIGHT_MS + 4 * DAY_MS) + after_ms
    found = answered(applied, cutover_ms, query_ms)
    assert sum(row["impressions"] for row in found.values()) == len(applied)
    assert differences(found, naive.answers(applied, query_ms), FLOAT32_STORED) == []


@settings(max_examples=CASES, deadline=None)
@given(arrivals, st.integers(0, 40))
def test_the_newest_and_older_generations_answer_alike_or_say_so(drawn, days):
    """Weekly generations N, N-1 and N-2 beside the same deltas, up to six weeks later."""
    applied = accepted(drawn)
    query_ms = MIDNIGHT_MS + 14 * DAY_MS + days * DAY_MS
    expected = naive.answers(applied, query_ms)
    flagged = []
    for cutover_ms in (MIDNIGHT_MS + 14 * DAY_MS, MIDNIGHT_MS + 7 * DAY_MS, MIDNIGHT_MS):
        past = query_ms >= window.horizon_ms(cutover_ms, SPEC)
        flagged.append(past)
        assert (reasons(query_ms, cutover_ms, SPEC) == (Incomplete.PAST_TAIL_HORIZON,)) == past
        if not past:
            found = answered(applied, cutover_ms, query_ms)
            assert differences(found, expected, FLOAT32_STORED) == []
    assert flagged == sorted(flagged), "an older generation is flagged no later than a newer one"
