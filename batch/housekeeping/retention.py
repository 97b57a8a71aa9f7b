"""Until which day of ingest rows of raw, and rejected rows, are deleted. Pure.

Nothing without a published generation: raw is all there is then. The time from which days are
counted back is the earliest of what the clock, the commits, the topic (agreed.py), raw's
valid-through and the newest published cutover say. And no row goes that the window of a generation
that stays holds, which the same date computed again would read, with the days before it that
duplicates of its first day are decided by.
"""

from __future__ import annotations

from collections.abc import Collection

from impressions.core import window
from impressions.core.spec import DAY_MS, Spec


def deleted_until_ms(
    now_ms: int,
    valid_through_ms: int | None,
    published_ms: Collection[int],
    kept_ms: Collection[int],
    keep_days: int,
    spec: Spec,
) -> int | None:
    """Start of the oldest UTC day of ingest that stays; None: nothing is deleted.

    Args:
        now_ms: what the witnesses agree on.
        published_ms, kept_ms: cutovers of all published generations, and of those that stay.
    """
    if valid_through_ms is None or not published_ms or not kept_ms:
        return None
    reached_ms = min(now_ms, valid_through_ms, max(published_ms))
    by_age_ms = (reached_ms // DAY_MS - keep_days) * DAY_MS
    return min([by_age_ms, *(needed_from_ms(cutover, spec) for cutover in kept_ms)])


def needed_from_ms(cutover_ms: int, spec: Spec) -> int:
    """Start of the oldest day of ingest that a generation's window rests on."""
    before = window.first_slot_ms(cutover_ms, spec) - spec.slot_ms
    return before // DAY_MS * DAY_MS
