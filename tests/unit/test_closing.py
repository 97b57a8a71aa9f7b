"""Which slots are closed now, by what the files' metadata says. Slots of one day: 0, 1, 2, ..."""

from __future__ import annotations

import pytest

from batch.closing.slots import due_slots, followers
from batch.lake.conflict import Conflict, retried
from batch.lake.slot_states import SlotState, runs
from impressions.core.errors import NotReady
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()
CLOSED, OPEN = SlotState(rows=5, undecided=0), SlotState(rows=5, undecided=2)
MARKED = SlotState(rows=5, undecided=0, has_deletes=True)


def days(*numbers: int) -> set[int]:
    return {number * DAY_MS for number in numbers}


def test_a_slot_is_due_when_it_is_over_and_not_decided() -> None:
    """Day 2 ends after the limit, day 0 is closed; one that waits for deletes is not."""
    states = dict(zip(sorted(days(0, 1, 2)), (CLOSED, OPEN, OPEN), strict=True))
    assert due_slots(states, 3 * DAY_MS - 1, SPEC) == days(1)
    assert due_slots(states, 3 * DAY_MS, SPEC) == days(1, 2)
    assert due_slots(states, 2 * DAY_MS, SPEC, closed_too=True) == days(0, 1)
    assert due_slots({0: MARKED}, 2 * DAY_MS, SPEC) == days(0)


def test_a_closed_slot_follows_the_one_before_it() -> None:
    """An open one does not: it is decided when its own time comes. Nor one without rows."""
    states = dict(zip(sorted(days(1, 2, 5, 6)), (OPEN, CLOSED, OPEN, OPEN), strict=True))
    assert followers(days(1), states, SPEC) == days(2)
    assert followers(days(5), states, SPEC) == set()
    assert followers(days(6), states, SPEC) == set()
    assert followers(days(1, 2), states, SPEC) == set()


def test_neighbouring_slots_become_one_range() -> None:
    """Half-open."""
    assert runs([3, 0, 1, 1], slot_ms=1) == [(0, 2), (3, 4)]
    assert runs([], slot_ms=1) == []


def test_a_conflict_is_retried_and_nothing_else_is() -> None:
    """Conflicts without end give up, and say that another writer is there."""
    calls: list[int] = []

    def conflicting(times: int) -> int:
        calls.append(1)
        if len(calls) <= times:
            raise Conflict("main has moved")
        return len(calls)

    assert retried(lambda: conflicting(2)) == 3
    calls.clear()
    with pytest.raises(NotReady, match="20 attempts"):
        retried(lambda: conflicting(99))
    with pytest.raises(ZeroDivisionError):
        retried(lambda: 1 // 0)
