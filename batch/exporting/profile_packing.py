"""Rows of the aggregate table become (key, profile block) pairs: the content of an SST file.

In: Arrow batches of `impressions.ema`. Out: one `Packed` per profile, ascending by profile.

    1. complete   a batch's last profile may go on in the next batch, so its rows are held back
    2. columns    the rows of complete profiles become numpy columns, without a loop over rows
    3. order      (profile, tail day with null first, title, location): put so where that is asked
                  for, and checked over all rows at once, because a reader trusts it; so is that
                  sums have a total, as blocks store no others
    4. blocks     each profile is a slice of those columns: [start, tail) and [tail, end)

The bytes themselves are made by impressions/formats/profile_block.py alone. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.lake.ema_columns import NOT_TAIL, Columns, columns_of, days_of, integers_of, items_of
from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.item import profile_key
from impressions.core.rows import ALL
from impressions.core.sort_key import sort_key
from impressions.core.spec import Spec
from impressions.formats import profile_block

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Packed:
    """One profile: its key and block, and how many rows of the table are in it."""

    key: bytes
    block: bytes
    entries: int


def pack(
    pieces: Iterable[pa.Table | pa.RecordBatch], cutover_ms: int, spec: Spec, *, sort: bool
) -> Iterator[Packed]:
    """Pack rows, profile by profile.

    Args:
        pieces: complete profiles, profiles ascending; columns as in `columns_of`.
        cutover_ms: what the decayed sums are relative to.
        sort: whether the rows of a piece are in any order.

    Raises:
        CorruptData: a null where none may be, rows out of order or repeated, or sums of nothing.
    """
    last = -1
    for piece in pieces:
        columns = columns_of(piece, spec, in_order(piece) if sort else ALL)
        check_order(columns, after=last)
        check_sums(columns, spec)
        last = int(columns.profiles[-1])
        yield from _blocks(columns, cutover_ms, spec)


def complete_profiles(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in pieces that end where a profile ends; none is empty."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []  # rows of one profile, the last one seen
    for batch in batches:
        if not batch.num_rows:
            continue
        profiles = batch.column("profile_id").to_numpy(zero_copy_only=False)
        cut = int(np.flatnonzero(profiles == profiles[-1])[0])
        goes_on = bool(held) and held[0].column("profile_id")[0].as_py() == profiles[0]
        if cut == 0 and goes_on:
            held.append(batch)
            continue
        if held or cut:
            yield pa.Table.from_batches([*held, batch.slice(0, cut)])
        held = [batch.slice(cut)]
    if held:
        yield pa.Table.from_batches(held)


def in_order(batch: pa.Table | pa.RecordBatch) -> NDArray[np.intp]:
    """The rows by (profile, tail day with null first, title, location)."""
    profiles, days, items = integers_of(batch, "profile_id"), days_of(batch), items_of(batch)
    rank = ranks(profiles, days, items)
    if rank is None:
        return np.lexsort((items, days, profiles))
    return np.argsort(rank, kind="stable")


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
