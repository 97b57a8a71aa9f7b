"""Generations that lack rows: rows that reached a slot before the cutover after they were computed.

Landing keeps a margin for clocks that differ, so this is rare; when it happens the rows are kept,
their slot is closed again, and the next generation holds them. Until then `status` says so.

`land` adds rows and `close` keeps them, so a slot that has more rows now than in the snapshot that
a generation was computed from has rows which that generation lacks. Metadata only.
"""

from __future__ import annotations

from collections.abc import Mapping

from batch.lake.files import SlotState
from impressions.core import window
from impressions.core.spec import Spec


def lacking(
    then: Mapping[int, SlotState], now: Mapping[int, SlotState], cutover_ms: int, spec: Spec
) -> int:
    """Rows that a generation lacks: in its slots now, but not when it was computed."""
    first_ms = window.first_slot_ms(cutover_ms, spec)
    return sum(
        max(0, state.rows - (then[slot].rows if slot in then else 0))
        for slot, state in now.items()
        if first_ms <= slot < cutover_ms
    )
