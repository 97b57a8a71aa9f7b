"""Which slots need to be closed. Pure.

    due          over (valid-through >= its end) and not closed
    follower     closed, but the slot before it is rewritten now: its flags depend on that one

Rows that arrive later have no flag and make their slot due again, and so do row-level deletes of
other engines: nothing is lost, and running twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from batch.lake import partitions
from batch.lake.slot_states import SlotState
from impressions.core.spec import Spec


def due_slots(
    states: Mapping[int, SlotState], before_ms: int, spec: Spec, closed_too: bool = False
) -> set[int]:
    """Slots that end at or before `before_ms` and are not closed."""
    return {
        slot
        for slot, state in states.items()
        if slot + spec.slot_ms <= before_ms and (closed_too or not state.closed)
    }


def followers(slots: Collection[int], states: Mapping[int, SlotState], spec: Spec) -> set[int]:
    """Closed slots right after one of `slots`; open ones are decided when they are closed."""
    rewritten = set(slots)
    return {
        slot
        for slot, state in states.items()
        if state.closed and slot not in rewritten and partitions.before({slot}, spec) & rewritten
    }
