"""Batch (+) stream: one profile's aggregates over the whole window at a query time.

In: the profile block of the generation (or none), any delta blocks of the profile, a query time.
Out: one `Rows`, items ascending, relative to the query time.

    1. the cut       a generation owns every event ingested before its cutover; of the delta blocks
                     only slots >= cutover are added, so nothing counts twice after a swap
    2. the window    tail rows whose day has left the window are left out; nothing is subtracted
    3. the reference each part's decayed sums move to the query time by one factor per half-life
    4. plus          rows of the same item add: totals and sums by +, last seen by max

Addition is commutative and associative, so any split of the events between blocks and any order of
the blocks gives the same rows (tests/faults/test_laws.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from impressions.core import window
from impressions.core.decay import Int, shift_factors, weights
from impressions.core.errors import CorruptData, UsageError
from impressions.core.item import MAX_LOCATION, location_of, pack, title_of
from impressions.core.rows import ALL, Index, Rows, empty_rows, grouped, joined
from impressions.core.slot import format_utc
from impressions.core.spec import Spec


class StoredProfile(Protocol):
    """What the merge needs of a profile in a generation (impressions/formats/profile_block.py)."""

    @property
    def reference_ms(self) -> int:
        """The cutover that the sums are relative to."""

    def items(self) -> Int:
        """(n,) int64 keys of the rows outside the tail, ascending."""

    def rows(self, index: Index = ALL) -> Rows:
        """Rows outside the tail, relative to `reference_ms`."""

    def tail_from(self, first_day: int) -> Rows:
        """Tail rows of event days >= `first_day`; an item may come once per day, unsorted."""


class SlotRows(Protocol):
    """What the merge needs of one ingest slot of the stream
    (impressions/formats/delta_block.py)."""

    @property
    def slot_start_ms(self) -> int:
        """Which slot, and the reference time of `rows`."""

    def rows(self, spec: Spec) -> Rows:
        """Items ascending; an item may come several times."""


@dataclass(frozen=True)
class Selection:
    """Which items an answer is about; None means all.

    Attributes:
        titles: (t,) int64, ascending and unique.
        locations: (l,) int64.
    """

    titles: Int | None = None
    locations: Int | None = None

    def index(self, items: Int, *, ascending: bool) -> Index:
        """Positions in `items` that are selected; binary search where `items` are sorted."""
        index: Index = ALL
        if self.titles is not None:
            index = _of_titles(items, self.titles) if ascending else _any_title(items, self.titles)
        if self.locations is None:
            return index
        chosen = np.arange(len(items), dtype=np.intp)[index]
        return chosen[np.isin(location_of(items[chosen]), self.locations)]


EVERYTHING = Selection()


def merge(
    query_ms: int,
    cutover_ms: int | None,
    block: StoredProfile | None,
    deltas: Iterable[SlotRows],
    spec: Spec,
    selection: Selection = EVERYTHING,
) -> Rows:
    """One profile's aggregates at `query_ms`.

    Args:
        cutover_ms: cutover of the generation that answers; None when there is none (stream only).
        block: what that generation holds of the profile; None if it never saw it.
        deltas: delta blocks of the profile; those the generation owns are ignored.

    Raises:
        UsageError: `query_ms` lies before the cutover.
        CorruptData: the block belongs to another cutover.
    """
    parts: list[Rows] = []
    if cutover_ms is not None:
        check_query_time(query_ms, cutover_ms)
        deltas = owned_by_stream(deltas, cutover_ms)
    if block is not None:
        if block.reference_ms != cutover_ms:
            raise CorruptData(
                f"profile block: its cutover is {block.reference_ms}, expected {cutover_ms}"
            )
        parts += _from_block(query_ms, block, spec, selection)
    parts += _from_stream(query_ms, list(deltas), spec, selection)
    return plus([part for part in parts if len(part)], spec)


def check_query_time(query_ms: int, cutover_ms: int) -> None:
    """Refuse a query time before the cutover: later events are in the sums already."""
    if query_ms < cutover_ms:
        raise UsageError(
            f"query time {format_utc(query_ms)} lies before the cutover {format_utc(cutover_ms)} "
            "of the generation that would answer",
            hint="ask at the cutover or later, or roll back to an older generation",
            reason="query_before_cutover",
        )


def owned_by_stream(deltas: Iterable[SlotRows], cutover_ms: int) -> list[SlotRows]:
    """The delta blocks a generation with this cutover does not hold."""
    return [delta for delta in deltas if delta.slot_start_ms >= cutover_ms]


def shift(rows: Rows, from_ms: int, to_ms: int, spec: Spec) -> Rows:
    """The same rows with their decayed sums moved to another reference time."""
    factors = shift_factors(from_ms, to_ms, spec)
    return Rows(rows.items, rows.last_seen_ms, rows.totals, rows.sums * factors[None, :, None])


def plus(parts: list[Rows], spec: Spec) -> Rows:
    """Add parts that share a reference time; items of the result ascend and are unique."""
    if not parts:
        return empty_rows(spec)
    rows = joined(parts)
    if len(parts) == 1 and (rows.items[1:] > rows.items[:-1]).all():
        return rows
    order = np.argsort(rows.items, kind="stable")
    items = rows.items[order]
    starts = np.flatnonzero(np.concatenate(([True], items[1:] != items[:-1])))
    return grouped(rows, order, starts)


def _from_block(
    query_ms: int, block: StoredProfile, spec: Spec, selection: Selection
) -> list[Rows]:
    rows = block.rows(selection.index(block.items(), ascending=True))
    tail = block.tail_from(window.first_day(query_ms, spec))
    tail = tail.take(selection.index(tail.items, ascending=False))
    return [shift(part, block.reference_ms, query_ms, spec) for part in (rows, tail)]


def _from_stream(
    query_ms: int, deltas: list[SlotRows], spec: Spec, selection: Selection
) -> list[Rows]:
    """Selected and shifted together, not block by block: there are many and they are small."""
    if not deltas:
        return []
    parts = [delta.rows(spec) for delta in deltas]
    rows = joined(parts)
    ages_ms = np.array([query_ms - delta.slot_start_ms for delta in deltas], np.int64)
    slots = np.repeat(np.arange(len(deltas)), [len(part) for part in parts])
    index = selection.index(rows.items, ascending=False)
    rows, factors = rows.take(index), weights(ages_ms, spec)[:, slots[index]]
    return [Rows(rows.items, rows.last_seen_ms, rows.totals, rows.sums * factors)]


def _of_titles(items: Int, titles: Int) -> Index:
    """Positions of the selected titles in ascending items."""
    first = pack(titles, np.zeros(1, np.int64))
    starts = np.searchsorted(items, first)
    counts = np.searchsorted(items, first | np.int64(MAX_LOCATION), side="right") - starts
    offsets = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    index: Index = (np.arange(len(offsets)) + offsets).astype(np.intp, copy=False)
    return index


def _any_title(items: Int, titles: Int) -> Index:
    """The same in items of any order: one binary search per item, `titles` being ascending."""
    wanted = title_of(items)
    found = np.searchsorted(titles, wanted, side="right") > np.searchsorted(titles, wanted)
    return np.flatnonzero(found)
