"""The window of an answer in UTC days, the tail that leaves it, and the horizon of a generation.

    window(T)  = events whose UTC day > day(T) - 365           today included, so 365 days
    tail(C)    = event days in (day(C) - 365, day(C) - 337]    they leave within the next 28 days
    horizon(C) = start of day(C) + 28                          answers at T < horizon are exact

A generation with cutover C holds the sums of its tail days apart, each under its day. At a query
time T before the horizon every day that has left the window since C is a tail day, so serving
leaves those entries out and subtracts nothing. From the horizon on the answer must be flagged.

Days are integers counted from 1970-01-01 UTC. Half-open ranges.
"""

from __future__ import annotations

from impressions.core.spec import DAY_MS, Spec


def utc_day(time_ms: int) -> int:
    """The UTC day that holds this instant (floor, so right before 1970 too)."""
    return time_ms // DAY_MS


def first_day(query_ms: int, spec: Spec) -> int:
    """The oldest UTC event day that an answer at `query_ms` includes."""
    return utc_day(query_ms) - spec.window_days + 1


def tail_days(cutover_ms: int, spec: Spec) -> range:
    """The event days kept apart by a generation with this cutover, oldest first."""
    oldest = first_day(cutover_ms, spec)
    return range(oldest, oldest + spec.tail_days)


def horizon_ms(cutover_ms: int, spec: Spec) -> int:
    """First query time at which a generation with this cutover is no longer exact."""
    return (utc_day(cutover_ms) + spec.tail_days) * DAY_MS


def first_slot_ms(cutover_ms: int, spec: Spec) -> int:
    """Start of the oldest UTC day of ingest that may hold an event of the window at the cutover.

    Event times run at most `max_ahead_ms` past their ingest, so what was ingested that long before
    the window's first day holds nothing of it; the day just before may. A whole day, because
    history is kept by the day however short slots are (batch/lake/partitions.py).
    """
    oldest_ingest_ms = first_day(cutover_ms, spec) * DAY_MS - spec.max_ahead_ms
    return utc_day(oldest_ingest_ms) * DAY_MS
