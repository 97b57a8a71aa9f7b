"""Until when rows of raw are deleted: the earliest of all witnesses. Times are days."""

from __future__ import annotations

import pytest

from batch.housekeeping.retention import deleted_until_ms, needed_from_ms
from impressions.core import window
from impressions.core.errors import SettingsError
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.model import load

SPEC = Spec()


def until(now: int, through: int | None, published: set[int], kept: set[int]) -> int | None:
    days = {one * DAY_MS for one in published}, {one * DAY_MS for one in kept}
    through_ms = None if through is None else through * DAY_MS
    found_ms = deleted_until_ms(now * DAY_MS, through_ms, *days, 400, SPEC)
    return None if found_ms is None else found_ms // DAY_MS


def test_rows_stay_so_many_days_behind_the_newest_cutover():
    assert until(1000, 1000, {1000}, {1000}) == 600


@pytest.mark.parametrize(
    "ahead", [(5000, 1000, {1000}), (1000, 5000, {1000}), (1000, 1000, {5000})]
)
def test_one_witness_that_is_ahead_deletes_nothing_more(ahead):
    """The clock with the commits, valid-through, or a cutover."""
    assert until(*ahead, {1000}) == 600


@pytest.mark.parametrize("behind", [(900, 1000, {1000}), (1000, 900, {1000}), (1000, 1000, {900})])
def test_one_witness_that_is_behind_holds_all_back(behind):
    assert until(*behind, {1000}) == 500


def test_the_window_of_a_generation_that_stays_is_whole():
    """Cutover 960: its window begins on day 596, on a day of ingest before that, and duplicates of
    it are decided by the day before."""
    assert until(1000, 1000, {960, 1000}, {960, 1000}) == 594
    assert needed_from_ms(960 * DAY_MS, SPEC) == 594 * DAY_MS
    assert window.first_slot_ms(960 * DAY_MS, SPEC) == 595 * DAY_MS


def test_nothing_goes_without_a_published_generation_or_without_valid_through():
    assert until(1000, 1000, set(), set()) is None
    assert until(1000, None, {1000}, {1000}) is None


def test_fewer_days_than_a_rollback_needs_are_refused(tmp_path):
    """365 of the window, 28 that a generation may be old, one ahead, one for duplicates."""
    load(overrides=["housekeeping.keep_raw_days=395"])
    with pytest.raises(SettingsError, match="keep_raw_days"):
        load(overrides=["housekeeping.keep_raw_days=394"])
    oldest_ms = (1000 - SPEC.tail_days) * DAY_MS
    assert needed_from_ms(oldest_ms, SPEC) >= (1000 - 395) * DAY_MS
