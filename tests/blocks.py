"""Build blocks from events the slow way: one event becomes one row, and `merge.plus` adds them.

`prepare` lifts events to rows at a reference time; the product's own layers (Spark, the stream) do
the same with their own engines and are compared with the oracle separately.
"""

from collections.abc import Iterable

import numpy as np

from impressions.core import item, window
from impressions.core.impressions import Impressions
from impressions.core.merge import plus
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock


def impressions_of(events: list[dict]) -> Impressions:
    """The events, in their order."""
    event_ms = np.array([e["event_ms"] for e in events], np.int64)
    added = np.array([[e["played"], e["dwell_s"]] for e in events], np.float64).T.reshape(2, -1)
    titles = np.array([e["title"] for e in events], np.int64)
    locations = np.array([e["location"] for e in events], np.int64)
    return Impressions(item.pack(titles, locations), event_ms, added)


def prepare(events: list[dict], reference_ms: int, spec: Spec) -> Rows:
    """One row per event, in the events' order, relative to `reference_ms`."""
    return impressions_of(events).rows(reference_ms, spec)


def delta_block_of(events: list[dict], slot_ms: int, epoch: int = 1, offset: int = 0) -> DeltaBlock:
    """The block of one profile's events of one slot."""
    impressions = impressions_of(events)
    order = np.argsort(impressions.items, kind="stable")
    return DeltaBlock(slot_ms, epoch, offset, np.empty(0, np.int64), impressions.take(order))


def profile_block_of(events: list[dict], cutover_ms: int, spec: Spec) -> bytes:
    """The profile block of one profile's accepted events (already cut by ingest time)."""
    oldest = window.first_day(cutover_ms, spec)
    tail_days = window.tail_days(cutover_ms, spec)
    day_of = [(window.utc_day(e["event_ms"]), e) for e in events]
    day_of = [(day, e) for day, e in day_of if day >= oldest]
    body = prepare([e for day, e in day_of if day not in tail_days], cutover_ms, spec)
    days = sorted({day for day, _ in day_of if day in tail_days})
    parts = [
        plus([prepare([e for d, e in day_of if d == day], cutover_ms, spec)], spec) for day in days
    ]
    tail = Rows(
        np.concatenate([p.items for p in parts] or [np.empty(0, np.int64)]),
        np.concatenate([p.last_seen_ms for p in parts] or [np.empty(0, np.int64)]),
        np.concatenate([p.totals for p in parts] or [np.empty((3, 0))], axis=1),
        np.concatenate([p.sums for p in parts] or [np.empty((3, 5, 0))], axis=2),
    )
    tail_day = np.repeat(np.array(days, np.int64), [len(p) for p in parts])
    return profile_block.encode(cutover_ms, plus([body], spec), tail, tail_day, spec)


def delta_blocks_of(
    events: Iterable[tuple[dict, int]], spec: Spec, offset: int = 0
) -> list[DeltaBlock]:
    """One delta block per ingest slot of (event, ingest_ms) pairs, through their bytes."""
    by_slot: dict[int, list[dict]] = {}
    for event, ingest_ms in events:
        by_slot.setdefault(ingest_ms // spec.slot_ms * spec.slot_ms, []).append(event)
    blocks = []
    for slot_ms, group in by_slot.items():
        data = delta_block.encode(delta_block_of(group, slot_ms, offset=offset), spec)
        blocks.append(delta_block.decode(data, spec))
    return blocks
