"""Slots, cutovers, windows, tails and horizons, in dates."""

import pytest

from impressions.core import slot, window
from impressions.core.completeness import Incomplete, reasons
from impressions.core.errors import SettingsError, UsageError
from impressions.core.spec import DAY_MS, Spec

DAILY, HOURLY = Spec(), Spec(slot_ms=3_600_000)


def ms(text):
    return slot.parse_logical_date(text, Spec(slot_ms=1000))


def day(text):
    return window.utc_day(ms(text))


def test_a_date_is_its_utc_midnight():
    """2026-11-15 is 20772 days after the epoch; with a zone the instant is the same."""
    assert slot.parse_logical_date("2026-11-15", DAILY) == 20_772 * DAY_MS
    assert slot.parse_logical_date("2026-11-15T02:00:00+02:00", DAILY) == 20_772 * DAY_MS
    assert slot.format_utc(20_772 * DAY_MS + 1) == "2026-11-15T00:00:00.001Z"


def test_a_logical_date_must_start_a_slot():
    """06:00 is a slot of an hour but not of a day; the hint names the slot that holds it."""
    assert slot.parse_logical_date("2026-11-15T06:00:00Z", HOURLY) % HOURLY.slot_ms == 0
    with pytest.raises(UsageError) as refused:
        slot.parse_logical_date("2026-11-15T06:00:00Z", DAILY)
    assert "2026-11-15T00:00:00Z" in refused.value.hint


@pytest.mark.parametrize("text", ["", "yesterday", "2026-W47", "2026-02-30"])
def test_what_is_no_date_is_refused(text):
    """An ISO week is never parsed, a day that does not exist is none."""
    with pytest.raises(UsageError):
        slot.parse_logical_date(text, DAILY)


def test_a_slot_must_divide_a_day():
    """7 hours would drift against midnight."""
    with pytest.raises(SettingsError):
        Spec(slot_ms=7 * 3_600_000)


def test_the_window_counts_365_days_with_today():
    """On 15 Nov 2026 the oldest day is 16 Nov 2025; over a leap day it is one date later."""
    assert window.first_day(ms("2026-11-15T13:00:00"), DAILY) == day("2025-11-16")
    assert window.first_day(ms("2024-11-15"), DAILY) == day("2023-11-17")


def test_the_tail_is_the_first_28_days_of_the_window():
    """For a cutover on 15 Nov 2026: 16 Nov to 13 Dec 2025."""
    tail = window.tail_days(ms("2026-11-15"), DAILY)
    assert (tail[0], tail[-1], len(tail)) == (day("2025-11-16"), day("2025-12-13"), 28)


@pytest.mark.parametrize("cutover", ["2026-11-15", "2026-11-15T06:00:00"])
def test_answers_are_flagged_from_the_horizon_on(cutover):
    """Complete to the last millisecond of the 28th day that begins with the cutover's."""
    edge = ms("2026-12-13")
    assert window.horizon_ms(ms(cutover), DAILY) == edge
    assert reasons(edge - 1, ms(cutover), DAILY) == ()
    assert reasons(edge, ms(cutover), DAILY) == (Incomplete.PAST_TAIL_HORIZON,)


def test_the_day_before_the_window_may_hold_events_of_it():
    """An event 5 min ahead of its ingest at 23:58 belongs to the next day, and to the window. A
    whole day also where slots are short: history is kept by the day."""
    assert window.first_slot_ms(ms("2026-11-15"), DAILY) == ms("2025-11-15")
    assert window.first_slot_ms(ms("2026-11-15"), HOURLY) == ms("2025-11-15")
