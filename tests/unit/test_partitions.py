"""Where rows of raw lie when slots are shorter than a day, and whom duplicates may come from."""

from batch.lake.partitions import before
from impressions.core.spec import DAY_MS, Spec

D = 20_000 * DAY_MS
HOUR = 3_600_000


def test_with_slots_of_a_day_only_the_day_before_stands_before_one():
    assert before({D}, Spec()) == {D - DAY_MS}
    assert before({D, D - DAY_MS}, Spec()) == {D - 2 * DAY_MS}


def test_a_short_slot_comes_after_the_slot_before_and_after_the_history_of_its_day():
    spec = Spec(slot_ms=HOUR)
    assert before({D + 5 * HOUR}, spec) == {D + 4 * HOUR, D}
    assert before({D + HOUR}, spec) == {D}


def test_the_first_slot_of_a_day_comes_after_the_last_one_and_the_history_of_yesterday():
    assert before({D}, Spec(slot_ms=HOUR)) == {D - HOUR, D - DAY_MS}
