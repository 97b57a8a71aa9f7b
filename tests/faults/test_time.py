"""Times at which off-by-one lives, each with its date and its number, beside the naive oracle."""

import numpy as np
import pytest

from impressions.core import event, slot, window
from impressions.core.completeness import Incomplete, reasons
from impressions.core.errors import UsageError
from impressions.core.event import Reason
from impressions.core.merge import merge
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block, profile_block
from impressions.kafka.decoded_batch import decode
from oracle import naive
from speed.applying.apply import apply
from tests.blocks import delta_blocks_of, profile_block_of
from tests.compare import as_dict, differences
from tests.speed.records import record_bytes
from tests.tolerance import FLOAT32_STORED, FLOAT64

SPEC, PROFILE, TITLE = Spec(), 7, 9
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return slot.parse_logical_date(text, Spec(slot_ms=1))


def seen(at_ms: int, title: int = TITLE) -> dict:
    return {"title": title, "location": 0, "event_ms": at_ms, "played": 1, "dwell_s": 2.5}


def answer(events: list[tuple[dict, int]], cutover_ms: int, query_ms: int) -> dict:
    """What a generation with this cutover and the stream behind it say, compared with the oracle.

    `events` are (event, ingest_ms); the generation holds those ingested before the cutover.
    """
    block = profile_block_of([e for e, at_ms in events if at_ms < cutover_ms], cutover_ms, SPEC)
    deltas = delta_blocks_of(events, SPEC)
    decoded = profile_block.decode(block, SPEC)
    found = as_dict(PROFILE, merge(query_ms, cutover_ms, decoded, deltas, SPEC), SPEC)
    expected = naive.answers([(PROFILE, e, at_ms) for e, at_ms in events], query_ms)
    assert differences(found, expected, FLOAT32_STORED) == []
    return found


def impressions_of(found: dict, title: int = TITLE) -> int:
    return int(found.get((PROFILE, title, 0), {"impressions": 0})["impressions"])


def test_a_window_over_a_leap_day_is_365_days_and_begins_a_date_later():
    """On 1 Mar 2028 it begins on 3 Mar 2027; on 1 Mar 2027 it began on 2 Mar 2026. What was seen on
    the leap day weighs 1/2 a day later, at a half-life of a day."""
    query_ms, leap_ms = ms("2028-03-01T12:00:00"), ms("2028-02-29T12:00:00")
    assert window.first_day(query_ms, SPEC) * DAY_MS == ms("2027-03-03")
    assert window.first_day(ms("2027-03-01"), SPEC) * DAY_MS == ms("2026-03-02")
    oldest_ms, too_old_ms = ms("2027-03-03"), ms("2027-03-03") - 1
    events = [(seen(leap_ms), leap_ms), (seen(oldest_ms, 1), oldest_ms)]
    events.append((seen(too_old_ms, 2), too_old_ms))
    found = answer(events, ms("2028-02-29"), query_ms)
    assert [impressions_of(found, title) for title in (TITLE, 1, 2)] == [1, 1, 0]
    assert found[PROFILE, TITLE, 0]["impressions", 1] == pytest.approx(0.5)
    a_year_on = answer(events, ms("2029-02-20"), ms("2029-02-27T23:59:59.999"))
    assert impressions_of(a_year_on) == 1
    assert impressions_of(answer(events, ms("2029-02-20"), ms("2029-02-28"))) == 0


def test_each_of_the_next_28_midnights_drops_exactly_one_day_of_the_tail():
    """60 events, one a day at noon from 16 Nov 2025; at the cutover 2026-11-15 all count, a
    millisecond before the nth midnight 61 - n do, and at it 60 - n."""
    cutover_ms, first_ms = ms("2026-11-15"), ms("2025-11-16T12:00:00")
    days = [first_ms + day * DAY_MS for day in range(60)]
    events = [(seen(at_ms, title), at_ms) for title, at_ms in enumerate(days)]
    assert len(answer(events, cutover_ms, cutover_ms)) == 60
    left = []
    for night in range(1, 29):
        midnight_ms = cutover_ms + night * DAY_MS
        before = answer(events, cutover_ms, midnight_ms - 1)
        assert len(before) == 61 - night
        if night < 28:
            after = answer(events, cutover_ms, midnight_ms)
            left += [title for _, title, _ in before.keys() - after.keys()]
    assert left == list(range(27))


def test_the_last_millisecond_of_the_horizon_is_exact_and_the_next_is_flagged():
    """Cutover 2026-11-15: exact through 2026-12-12T23:59:59.999, flagged from the 13th on; and the
    flag is right, for 13 Dec 2025 should have left and is still in."""
    cutover_ms, edge_ms = ms("2026-11-15"), ms("2026-12-13")
    kept_ms = ms("2025-12-14T12:00:00")
    events = [(seen(at_ms, at_ms % 2), at_ms) for at_ms in (ms("2025-12-13T12:00:00.001"), kept_ms)]
    assert reasons(edge_ms - 1, cutover_ms, SPEC) == ()
    assert reasons(edge_ms, cutover_ms, SPEC) == (Incomplete.PAST_TAIL_HORIZON,)
    assert len(answer(events, cutover_ms, edge_ms - 1)) == 2
    assert len(answer(events, cutover_ms, edge_ms)) == 1
    block = profile_block_of([e for e, _ in events], cutover_ms, SPEC)
    rows = merge(edge_ms + DAY_MS, cutover_ms, profile_block.decode(block, SPEC), [], SPEC)
    assert len(rows) == 1, "14 Dec is no tail day: it stays, and the answer says so"
    assert naive.answers([(PROFILE, *pair) for pair in events], edge_ms + DAY_MS) == {}


def test_a_query_at_the_cutover_is_answered_and_a_millisecond_before_refused():
    """What was ingested in the cutover's own millisecond is the stream's."""
    cutover_ms = ms("2026-11-15")
    events = [(seen(cutover_ms - 1), cutover_ms - 1), (seen(cutover_ms), cutover_ms)]
    found = answer(events, cutover_ms, cutover_ms)
    assert impressions_of(found) == 2
    assert found[PROFILE, TITLE, 0]["impressions", 1] == pytest.approx(2, abs=1e-6)
    with pytest.raises(UsageError, match=r"2026-11-14T23:59:59.999Z .* 2026-11-15T00:00:00Z"):
        answer(events, cutover_ms, cutover_ms - 1)


# (event minus ingest in ms, the reason, how far ahead it counts)
EDGES = {
    "5 min ahead": (5 * MINUTE_MS, Reason.OK, 5 * MINUTE_MS),
    "5 min and 1 ms ahead": (5 * MINUTE_MS + 1, Reason.OK, 0),
    "337 days late": (-337 * DAY_MS, Reason.OK, -337 * DAY_MS),
    "337 days and 1 ms late": (-337 * DAY_MS - 1, Reason.OUT_OF_WINDOW, None),
}


@pytest.mark.parametrize("edge", EDGES)
def test_the_edges_of_validity(edge):
    """Kept, clamped to the ingest, kept, rejected; the oracle's own rule says the same."""
    ahead_ms, reason, counts_at_ms = EDGES[edge]
    ingest_ms = ms("2026-11-15T08:00:00")
    given = seen(ingest_ms + ahead_ms)
    one = [np.array([value], np.int64) for value in (PROFILE, TITLE, 0)]
    times = [np.array([value], np.int64) for value in (given["event_ms"], ingest_ms)]
    found, counted_ms = event.check(*one, *times, np.array([2.5]), SPEC)
    assert found.tolist() == [reason]
    accepted, counts = naive.accept([(PROFILE, 1, ingest_ms, [given])])
    assert counts["rejected"] == (reason is not Reason.OK)
    if reason is Reason.OK:
        assert counted_ms.tolist() == [ingest_ms + counts_at_ms] == [accepted[0][1]["event_ms"]]


def test_the_latest_event_stays_in_the_window_until_the_horizon_of_its_generation():
    """337 days late at 2026-11-15T08:00: its day is 13 Dec 2025, in the window through 12 Dec 2026,
    the last day of the generation that would have owned the slot."""
    ingest_ms = ms("2026-11-15T08:00:00")
    late = [(seen(ingest_ms - 337 * DAY_MS), ingest_ms)]
    edge_ms = window.horizon_ms(ms("2026-11-15"), SPEC)
    assert impressions_of(answer(late, ms("2026-11-15"), edge_ms - 1)) == 1
    assert naive.answers([(PROFILE, late[0][0], ingest_ms)], edge_ms) == {}
    assert reasons(edge_ms, ms("2026-11-15"), SPEC) == (Incomplete.PAST_TAIL_HORIZON,)


def test_a_batch_over_a_slots_edge_is_two_blocks_and_a_resend_over_it_counts_once():
    """Records at 23:59:59.999 and 00:00:00.000 in one batch: one impression to each day's block;
    the first log comes again after midnight and is dropped."""
    midnight_ms = ms("2026-11-16")
    arrivals = [(midnight_ms - 1, 1), (midnight_ms, 2), (midnight_ms + 1, 1)]
    values = [record_bytes((PROFILE, log, [seen(at_ms)])) for at_ms, log in arrivals]
    ingest_ms = np.array([at_ms for at_ms, _ in arrivals], np.int64)
    batch = decode(values, ingest_ms, 0, 1, SPEC)
    done = apply(batch, np.arange(3), lambda _: None, 1, SPEC)
    assert (done.applied, done.duplicate) == (2, 1)
    totals = {key: len(block.impressions) for key, block in done.blocks.items()}
    assert totals == {(PROFILE, midnight_ms - DAY_MS): 1, (PROFILE, midnight_ms): 1}
    blocks = [
        delta_block.decode(delta_block.encode(block, SPEC), SPEC) for block in done.blocks.values()
    ]
    sent = [(PROFILE, log, at_ms, [seen(at_ms)]) for at_ms, log in arrivals]
    query_ms = midnight_ms + DAY_MS
    found = as_dict(PROFILE, merge(query_ms, None, None, blocks, SPEC), SPEC)
    expected = naive.answers(naive.accept(sent)[0], query_ms)
    assert differences(found, expected, FLOAT64) == []
    from_midnight = merge(query_ms, midnight_ms, None, blocks, SPEC)
    assert from_midnight.totals[0].tolist() == [1.0], "the generation owns the slot before"
