"""The dates of weekly runs: a UTC midnight every seven days.

asked for     any start of a slot that has come
the newest    the last midnight of the chosen day of the week: the same on each day until the
              next one, so a run that failed or was missed may be started on any of them
missed        the dates between two generations that were made
"""

from __future__ import annotations

from impressions.core.errors import NotReady
from impressions.core.slot import format_utc
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id

WEEK_MS = 7 * DAY_MS
DAYS = ("thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday")
"""1970-01-01 was the first of them."""


def newest_ms(day: str, now_ms: int) -> int:
    """The last midnight with which this day of the week began."""
    offset_ms = DAYS.index(day) * DAY_MS
    return (now_ms - offset_ms) // WEEK_MS * WEEK_MS + offset_ms


def require_come(cutover_ms: int, now_ms: int) -> None:
    """Raises NotReady for a date that lies ahead: servers refuse what is before a cutover, so a
    generation of tomorrow would answer nothing today."""
    if cutover_ms > now_ms:
        raise NotReady(
            f"logical date {format_utc(cutover_ms)} has not come: it is {format_utc(now_ms)}",
            hint="run it then; or is this machine's clock behind? impressions doctor",
            reason="date_not_come",
        )


def missed_names(before_ms: int, cutover_ms: int) -> list[str]:
    """Generations that weekly runs would have made after `before_ms`, before this one."""
    return [generation_id(ms) for ms in range(before_ms + WEEK_MS, cutover_ms, WEEK_MS)]
