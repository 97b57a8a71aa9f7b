"""Through when a partition is called complete: no further than two clocks have come."""

import pytest

from speed.applying.complete_through import drained_through_ms, next_through_ms
from speed.partitions import leader_clock
from speed.partitions.leader_clock import LeaderClock

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = 20_000 * DAY_MS
AHEAD_MS = [HOUR_MS, DAY_MS, 30 * DAY_MS, 338 * DAY_MS, 10_000 * DAY_MS]


def drained(claimed_ms=NOW_MS - 5_000, newest_ms=NOW_MS - 60_000, own_ms=NOW_MS, broker_ms=NOW_MS):
    """Through when, with a margin of two seconds, relative to NOW_MS."""
    return drained_through_ms(claimed_ms, newest_ms, own_ms, broker_ms, 2_000) - NOW_MS


def test_a_partition_that_has_nothing_left_is_complete_through_both_clocks_less_the_margin():
    assert drained() == -2_000
    assert drained(broker_ms=NOW_MS - 1_000) == -3_000
    assert drained(newest_ms=NOW_MS) == 0, "its newest record may be newer than that"


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
def test_one_clock_that_is_ahead_claims_nothing(ahead_ms):
    """The worker's, the broker's, or the stamp of the newest record."""
    assert drained(own_ms=NOW_MS + ahead_ms) == -2_000
    assert drained(broker_ms=NOW_MS + ahead_ms) == -2_000
    assert drained(newest_ms=NOW_MS + ahead_ms) == 0
    assert next_through_ms(NOW_MS - 5_000, NOW_MS + ahead_ms, NOW_MS) == NOW_MS


@pytest.mark.parametrize("ahead_ms", AHEAD_MS)
def test_what_was_claimed_too_early_is_taken_back(ahead_ms):
    """After records and without any: less is always true."""
    assert drained(claimed_ms=NOW_MS + ahead_ms) == -2_000
    assert drained(claimed_ms=NOW_MS + ahead_ms, broker_ms=None) == -60_000
    assert next_through_ms(NOW_MS + ahead_ms, NOW_MS - 7, NOW_MS) == NOW_MS - 7


@pytest.mark.parametrize("back_ms", AHEAD_MS)
def test_a_clock_that_is_late_claims_less_and_never_more(back_ms):
    newest = NOW_MS - back_ms
    assert drained(claimed_ms=0, newest_ms=newest, own_ms=newest) == -back_ms
    assert drained(claimed_ms=0, newest_ms=newest, broker_ms=newest) == -back_ms


def test_what_was_claimed_stays_where_a_clock_steps_back_by_seconds():
    assert drained(claimed_ms=NOW_MS, own_ms=NOW_MS - 4_000) == 0
    assert next_through_ms(NOW_MS, NOW_MS - 9_000, NOW_MS - 4_000) == NOW_MS


def test_before_the_broker_has_stamped_only_records_are_claimed():
    assert drained(claimed_ms=0, broker_ms=None) == -60_000


def test_the_brokers_time_goes_on_by_itself_for_seconds_and_is_then_unknown(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(leader_clock, "monotonic_s", lambda: now_s[0])
    clock = LeaderClock()
    assert clock.now_ms() is None
    clock.stamped(NOW_MS)
    now_s[0] += 1.5
    assert clock.now_ms() == NOW_MS + 1_500
    now_s[0] += 5
    assert clock.now_ms() is None
