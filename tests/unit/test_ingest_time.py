"""Ingest time: the running maximum, and what becomes of stamps that nobody confirms."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.ingest_time import AHEAD_MS, UNKNOWN_MS, Carried, ingest_times
from impressions.core.spec import DAY_MS
from impressions.kafka.median_event_time import median_event_ms
from tests.speed.records import record_bytes

NOW_MS = 20_000 * DAY_MS
HOUR_MS = 3_600_000
FAR = {"60 days": 60, "338 days": 338, "30 years": 30 * 365}
NEAR_MS = [1, HOUR_MS, DAY_MS, AHEAD_MS]


def times(stamps, devices=None, carried=Carried()):  # noqa: B008
    """Ingest times as a list, and what is carried; devices say NOW_MS where not given."""
    device_ms = [NOW_MS] * len(stamps) if devices is None else devices
    found, after = ingest_times(np.array(stamps, np.int64), carried, lambda: np.array(device_ms))
    return found.tolist(), after


def naive(stamps, devices):
    """The rule, a record at a time, as one would say it aloud."""
    newest, suspect, out = None, None, []
    for stamp, device in zip(stamps, devices, strict=True):
        believed = newest is None or stamp <= newest + AHEAD_MS
        vouched = newest is None or -AHEAD_MS <= stamp - device <= AHEAD_MS
        if newest is not None and believed:
            newest, suspect = max(newest, stamp), None
            out.append(newest)
        elif not vouched:
            suspect = None
            out.append(max(newest, device) if device < stamp else newest)
        elif suspect is not None and -AHEAD_MS <= stamp - suspect <= AHEAD_MS:
            newest, suspect = max(stamp, suspect), None
            out.append(newest)
        else:
            suspect = stamp
            out.append(stamp)
    return out


def test_usual_stamps_are_a_running_maximum():
    """A broker's clock steps back by an hour and comes again."""
    stamps = [NOW_MS, NOW_MS + 5, NOW_MS + 5 - HOUR_MS, NOW_MS + 4, NOW_MS + 9]
    found, after = times(stamps)
    assert found == [NOW_MS, NOW_MS + 5, NOW_MS + 5, NOW_MS + 5, NOW_MS + 9]
    assert after == Carried(NOW_MS + 9)


@pytest.mark.parametrize("days", FAR.values(), ids=FAR)
@pytest.mark.parametrize("records", [1, 50])
def test_a_clock_that_is_far_ahead_moves_no_record_behind_it(days, records):
    """Its own records count with the time of their devices, a second after the newest."""
    ahead = [NOW_MS + days * DAY_MS + i for i in range(records)]
    stamps = [NOW_MS, NOW_MS + 10, *ahead, NOW_MS + 2_000]
    devices = [NOW_MS, NOW_MS, *[NOW_MS + 1_000] * records, NOW_MS]
    found, after = times(stamps, devices)
    assert found == [NOW_MS, NOW_MS + 10, *[NOW_MS + 1_000] * records, NOW_MS + 2_000]
    assert after == Carried(NOW_MS + 2_000)


@pytest.mark.parametrize("days", FAR.values(), ids=FAR)
def test_one_record_whose_device_is_as_far_ahead_moves_itself_only(days):
    """Two clocks agree, and one record is not enough."""
    far_ms = NOW_MS + days * DAY_MS
    found, after = times([NOW_MS, NOW_MS, far_ms, NOW_MS + 7], [NOW_MS, NOW_MS, far_ms, NOW_MS])
    assert found == [NOW_MS, NOW_MS, far_ms, NOW_MS + 7]
    assert after == Carried(NOW_MS + 7)


@pytest.mark.parametrize("days", [3, 8, 60, 400])
def test_the_first_record_after_a_long_silence_is_in_its_own_slot(days):
    """Its devices vouch for it; the second one confirms it, and an older stamp moves no more."""
    later_ms = NOW_MS + days * DAY_MS
    stamps = [NOW_MS, NOW_MS, later_ms, later_ms + 10, later_ms - HOUR_MS]
    found, after = times(stamps, [NOW_MS, NOW_MS, later_ms - 1, later_ms, later_ms])
    assert found == [NOW_MS, NOW_MS, later_ms, later_ms + 10, later_ms + 10]
    assert after == Carried(later_ms + 10)


@pytest.mark.parametrize("back_ms", [HOUR_MS, DAY_MS, 60 * DAY_MS, 9_000 * DAY_MS])
def test_a_clock_that_is_set_back_moves_nothing(back_ms):
    found, after = times([NOW_MS, NOW_MS, NOW_MS - back_ms, NOW_MS - back_ms, NOW_MS + 1])
    assert found == [NOW_MS] * 4 + [NOW_MS + 1]
    assert after == Carried(NOW_MS + 1)


@pytest.mark.parametrize("ahead_ms", NEAR_MS)
def test_a_stamp_up_to_a_week_ahead_is_believed_alone(ahead_ms):
    """A partition may be silent for so long; no device is asked."""
    found, _ = ingest_times(np.array([NOW_MS + ahead_ms]), Carried(NOW_MS), lambda: 1 / 0)
    assert found.tolist() == [NOW_MS + ahead_ms]


def test_the_first_stamp_of_a_partition_begins_nothing_before_a_second_agrees():
    """Whatever its devices say: a backfill is old."""
    far_ms = NOW_MS + 60 * DAY_MS
    assert times([far_ms, NOW_MS, NOW_MS + 1], [UNKNOWN_MS] * 3) == (
        [far_ms, NOW_MS, NOW_MS + 1], Carried(NOW_MS + 1)
    )  # fmt: skip


def test_devices_that_make_no_sense_vouch_for_nothing():
    """None to be read, or far ahead of the broker too: it counts with the newest time known."""
    far_ms = NOW_MS + 60 * DAY_MS
    for device in (UNKNOWN_MS, far_ms + 9_000 * DAY_MS, 2**63 - 1, 0):
        assert times([NOW_MS, NOW_MS + 3, far_ms], [NOW_MS, NOW_MS, device]) == (
            [NOW_MS, NOW_MS + 3, NOW_MS + 3], Carried(NOW_MS + 3)
        )  # fmt: skip


near = st.integers(-20 * DAY_MS, 20 * DAY_MS) | st.sampled_from([0, AHEAD_MS, AHEAD_MS + 1])
far = st.sampled_from([-400, -60, 0, 0, 0, 60, 338, 4000])
steps = st.lists(st.tuples(near, far, near | st.just(UNKNOWN_MS - NOW_MS)), max_size=30)


@given(steps, st.integers(0, 1 << 30))
def test_any_stamps_in_any_pieces_give_what_the_naive_rule_says(drawn, seed):
    """Land and speed cut the log differently, and find the same."""
    pick = random.Random(seed)
    stamps = [NOW_MS + ms + days * DAY_MS for ms, days, _ in drawn]
    devices = [NOW_MS + ms for _, _, ms in drawn]
    found, carried, at = [], Carried(), 0
    while at < len(stamps):
        end = pick.randint(at + 1, len(stamps))
        some, carried = times(stamps[at:end], devices[at:end], carried)
        found, at = found + some, end
    assert found == naive(stamps, devices)


@given(steps)
def test_the_maximum_never_comes_down_and_is_never_above_every_stamp(drawn):
    carried = Carried()
    stamps = [NOW_MS + ms + days * DAY_MS for ms, days, _ in drawn]
    for i, (ms, _, device) in enumerate(drawn):
        _, after = times(stamps[i : i + 1], [NOW_MS + device], carried)
        assert carried.newest_ms <= after.newest_ms <= max([0, *stamps[: i + 1]]), ms
        carried = after


def test_the_time_of_a_records_devices_is_the_median_of_its_event_times():
    """One device of three is wrong; a record without impressions, and noise, say nothing."""

    def seen(ms):
        return {"title": 1, "location": 0, "event_ms": ms, "played": 0, "dwell_s": 0.0}

    values = [
        record_bytes((1, 1, [seen(NOW_MS)]), (2, 2, [seen(2**62)]), (3, 3, [seen(NOW_MS - 5)])),
        b"\xff\xff noise",
        None,
        record_bytes((1, 4, [])),
        record_bytes((1, 5, [seen(7), seen(9)])),
    ]
    assert median_event_ms(values).tolist() == [NOW_MS, UNKNOWN_MS, UNKNOWN_MS, UNKNOWN_MS, 7]
