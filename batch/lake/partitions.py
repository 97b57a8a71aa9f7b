"""Which partition of raw a row lies in, and which partitions stand right before one.

    rows from Kafka    the ingest slot they were appended in
    rows from files    the UTC day they were ingested in, whatever the slot's length: a year of
                       history in slots of 20 s would be half a million partitions

A partition is named by its start; with slots of a day the two are the same. What a slot is does not
change: duplicates are decided by the slot number of each row's ingest time (closing/duplicates.py),
and a cutover that would cut through a day of history is refused
(batch/compacting/window.py).
"""

from __future__ import annotations

from collections.abc import Collection

from impressions.core.decay import Int
from impressions.core.spec import DAY_MS, Spec


def history_start_ms(ingest_ms: Int) -> Int:
    """(n,) start of the partition of rows that came from a file."""
    return ingest_ms - ingest_ms % DAY_MS


def before(partitions: Collection[int], spec: Spec) -> set[int]:
    """Partitions that may hold rows of the same slot as a row of `partitions`, or of the slot
    before; without `partitions` themselves. History lies before all that Kafka brought."""
    earlier = set()
    for start in partitions:
        previous = start - spec.slot_ms
        earlier |= {previous, _day(previous), _day(start)}
    return earlier - set(partitions)


def _day(time_ms: int) -> int:
    return time_ms // DAY_MS * DAY_MS
