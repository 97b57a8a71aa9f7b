"""Ingest slots: fixed pieces of ingest time, and the cutover between batch and stream.

Ownership of an event is decided by ingest time alone. A slot is named by its start in epoch
milliseconds; a generation's cutover is the start of a slot and exclusive: the generation holds
every event with ingest time < cutover, the stream holds the slots that start at or after it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from impressions.core.errors import UsageError
from impressions.core.spec import Spec

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")


def slot_start_ms(ingest_ms: int, spec: Spec) -> int:
    """Start of the slot that holds this ingest time."""
    return ingest_ms // spec.slot_ms * spec.slot_ms


def next_slot_ms(ingest_ms: int, spec: Spec) -> int:
    """Start of the first slot that lies wholly after this ingest time."""
    return slot_start_ms(ingest_ms, spec) + spec.slot_ms


def is_slot_start(time_ms: int, spec: Spec) -> bool:
    return time_ms % spec.slot_ms == 0


def format_utc(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds only where there are any: `2026-11-15T06:00:00Z`."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    text = moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")
    return text.replace("+00:00", "Z")


def parse_logical_date(text: str, spec: Spec) -> int:
    """The cutover named by `--logical-date`: a date, or a timestamp where slots are shorter.

    Returns epoch milliseconds of a slot start. A time without a zone is UTC.

    Raises:
        UsageError: not a date or timestamp, or not the start of a slot.
    """
    try:
        if not _DATE.match(text):  # fromisoformat would take ISO weeks and bare digits too
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"logical date {text!r}: expected a date such as 2026-11-15, "
            "or a timestamp such as 2026-11-15T06:00:00Z",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    cutover_ms = round(moment.timestamp() * 1000)
    if not is_slot_start(cutover_ms, spec):
        raise UsageError(
            f"logical date {text!r} is not the start of an ingest slot of {spec.slot_ms // 1000} s",
            hint=f"the slot that holds it starts at {format_utc(slot_start_ms(cutover_ms, spec))}",
        )
    return cutover_ms
