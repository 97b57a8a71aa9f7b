"""Which slots a close was asked for, and which of them it rewrites now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch.closing.slots import due_slots, followers
from batch.lake.slot_states import SlotState
from batch.lake.snapshots import State
from impressions.core.errors import NotReady
from impressions.core.slot import format_utc
from impressions.settings.model import Settings

_LAND_FIRST = "bring the rest in first: impressions land"


@dataclass(frozen=True)
class Request:
    """Which slots: `slots` (starts in ms), all that end by `through_ms`, or all that are over."""

    slots: tuple[int, ...] = ()
    through_ms: int | None = None
    again: bool = False


def chosen_slots(
    request: Request, states: Mapping[int, SlotState], base: State, settings: Settings
) -> set[int]:
    """Slots to rewrite now. Raises NotReady."""
    spec, reached_ms = settings.spec, base.valid_through_ms or 0
    asked_ms = [slot + spec.slot_ms for slot in request.slots]
    if request.through_ms is not None:
        asked_ms.append(request.through_ms)
    _check_over(asked_ms, base)
    until_ms = reached_ms if request.through_ms is None else request.through_ms
    due = due_slots(states, until_ms, spec, request.again)
    if request.slots:
        due &= set(request.slots)
    return due | followers(due, states, spec)


def _check_over(ends_ms: Sequence[int], base: State) -> None:
    late = max(ends_ms, default=0)
    reached_ms = base.valid_through_ms
    if reached_ms is None and ends_ms:
        raise NotReady("raw does not say yet how far it is complete", hint=_LAND_FIRST)
    if reached_ms is not None and late > reached_ms:
        raise NotReady(
            f"the slots asked for end at {format_utc(late)}, but raw is valid through "
            f"{format_utc(reached_ms)}",
            hint=_LAND_FIRST,
            reason="slot_not_over",
        )
