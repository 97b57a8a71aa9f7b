"""Rows of the aggregate table become (key, profile block) pairs: the content of an SST file.

In: numpy columns of whole profiles. Out: one `Packed` per profile, ascending by profile.

    1. order      (profile, tail day with null first, title, location): put so, and checked over all
                  rows at once, because a reader trusts it; so is that sums have a total, as blocks
                  store no others
    2. blocks     each profile is a slice of those columns: [start, tail) and [tail, end)

The bytes themselves are made by impressions/formats/profile_block.py alone. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from batch.lake.ema_columns import NOT_TAIL, Columns
from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.item import profile_key
from impressions.core.sort_key import sort_key
from impressions.core.spec import Spec
from impressions.formats import profile_block


@dataclass(frozen=True)
class Packed:
    """One profile: its key and block, and how many rows of the table are in it."""

    key: bytes
    block: bytes
    entries: int


def pack(pieces: Iterable[Columns], cutover_ms: int, spec: Spec) -> Iterator[Packed]:
    """Pack rows, profile by profile.

    Args:
        pieces: complete profiles, profiles ascending.
        cutover_ms: what the decayed sums are relative to.

    Raises:
        CorruptData: rows out of order or repeated, or sums of nothing.
    """
    last = -1
    for piece in pieces:
        columns = in_order(piece)
        check_order(columns, after=last)
        check_sums(columns, spec)
        last = int(columns.profiles[-1])
        yield from _blocks(columns, cutover_ms, spec)


def in_order(columns: Columns) -> Columns:
    """The rows by (profile, tail day with null first, title, location)."""
    profiles, days, rows = columns.profiles, columns.days, columns.rows
    rank = ranks(profiles, days, rows.items)
    if rank is not None and (rank[1:] > rank[:-1]).all():
        return columns
    order = (
        np.lexsort((rows.items, days, profiles))
        if rank is None
        else np.argsort(rank, kind="stable")
    )
    return Columns(profiles[order], days[order], rows.take(order))


def ranks(profiles: Int, days: Int, items: Int) -> Int | None:
    """(n,) one number a row, in the order of (profile, day, item); None where `sort_key` has none,
    or profiles do not ascend: where they do, how many came before takes fewer bits than their ids.
    """
    steps = np.diff(profiles)
    if not len(profiles) or (steps < 0).any():
        return None
    group = np.zeros(len(profiles), np.int64)
    np.cumsum(steps != 0, out=group[1:])
    day = days - days.min(where=days != NOT_TAIL, initial=np.iinfo(np.int64).max) + 1
    day[days == NOT_TAIL] = 0
    return sort_key(group, day, items)


def check_order(columns: Columns, after: int) -> None:
    """Refuse rows that are not strictly ascending by (profile, day, item), or not past `after`."""
    rank = ranks(columns.profiles, columns.days, columns.rows.items)
    if rank is not None:
        ascends = rank[1:] > rank[:-1]
    else:
        ascends = np.zeros(max(len(columns.profiles) - 1, 0), np.bool_)
        equal = ~ascends
        for key in (columns.profiles, columns.days, columns.rows.items):
            steps = np.sign(key[1:] - key[:-1])
            ascends |= equal & (steps > 0)
            equal &= steps == 0
    if not ascends.all():
        at = int(np.flatnonzero(~ascends)[0]) + 1
        raise CorruptData(
            f"aggregate table: the row of profile {columns.profiles[at]}, item "
            f"{columns.rows.items[at]} does not come after the row before it; expected rows "
            "sorted by (profile, tail day, title, location), each once"
        )
    if columns.profiles[0] <= after:
        raise CorruptData(
            f"aggregate table: profile {columns.profiles[0]} comes after profile {after}; "
            "expected profiles ascending and not negative"
        )


def check_sums(columns: Columns, spec: Spec) -> None:
    """Refuse decayed sums of a measure without a total: a block would leave them out."""
    for measure, total, sums in zip(
        spec.measure_names, columns.rows.totals, columns.rows.sums, strict=True
    ):
        none = np.flatnonzero(total == 0)
        wrong = none[sums[:, none].any(axis=0)]
        if len(wrong):
            raise CorruptData(
                f"aggregate table: profile {columns.profiles[wrong[0]]}, item "
                f"{columns.rows.items[wrong[0]]} has decayed {measure}, but {measure} 0"
            )


def _blocks(columns: Columns, cutover_ms: int, spec: Spec) -> Iterator[Packed]:
    profiles, days, rows = columns.profiles, columns.days, columns.rows
    starts = np.flatnonzero(np.concatenate(([True], profiles[1:] != profiles[:-1])))
    ends = np.append(starts[1:], len(profiles))
    tails = ends - np.add.reduceat((days != NOT_TAIL).astype(np.int64), starts)
    for start, tail, end in zip(starts.tolist(), tails.tolist(), ends.tolist(), strict=True):
        block = profile_block.encode(
            cutover_ms, rows.take(slice(start, tail)), rows.take(slice(tail, end)),
            days[tail:end], spec,
        )  # fmt: skip
        yield Packed(profile_key(int(profiles[start])), block, end - start)
