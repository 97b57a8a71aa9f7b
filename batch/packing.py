"""Rows of the aggregate table become (key, profile block) pairs: the content of an SST file.

In: Arrow batches of `impressions.ema`, sorted by (profile, tail day with null first, title,
location), cut anywhere. Out: one `Packed` per profile, ascending by profile.

    1. whole      a batch's last profile may go on in the next batch, so its rows are held back
    2. columns    the rows of whole profiles become numpy columns, without a loop over rows
    3. order      checked over all rows at once, because a reader trusts it
    4. blocks     each profile is a slice of those columns: [start, tail) and [tail, end)

The bytes themselves are made by impressions/profile_block.py alone. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from impressions import profile_block
from impressions.columns import Rows
from impressions.decay import Int
from impressions.errors import CorruptData
from impressions.item import pack as pack_items
from impressions.item import profile_key
from impressions.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

NOT_TAIL = -1
"""Stands for "no tail day" in the day column; sorts before every day, as null does."""


@dataclass(frozen=True)
class Packed:
    """One profile: its key and block, and how many rows of the table are in it."""

    key: bytes
    block: bytes
    entries: int


@dataclass(frozen=True)
class Columns:
    """n rows of the aggregate table in numpy; `days` holds UTC days, or -1 outside the tail."""

    profiles: Int
    days: Int
    rows: Rows


def pack(batches: Iterable[pa.RecordBatch], cutover_ms: int, spec: Spec) -> Iterator[Packed]:
    """Pack sorted rows, profile by profile.

    Args:
        batches: columns as in `columns_of`; empty batches are allowed.
        cutover_ms: what the decayed sums are relative to.

    Raises:
        CorruptData: a null where none may be, or rows out of order or repeated.
    """
    last = -1
    for batch in whole_profiles(batches):
        columns = columns_of(batch, spec)
        check_order(columns, after=last)
        last = int(columns.profiles[-1])
        yield from _blocks(columns, cutover_ms, spec)


def whole_profiles(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
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


def columns_of(batch: pa.Table, spec: Spec) -> Columns:
    """Numpy columns of rows of `impressions.ema`.

    Args:
        batch: profile_id, title_id int64; location int32; tail_day date32 or null; last_seen
            timestamp[us]; the measures; `spec.decayed_names`.

    Raises:
        CorruptData: a null in any column but tail_day.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def numbers(name: str, kind: pa.DataType) -> NDArray[np.generic]:
        column = batch.column(name)
        if column.null_count:
            raise CorruptData(f"aggregate table: {column.null_count} nulls in {name}, expected 0")
        values: NDArray[np.generic] = column.cast(kind).to_numpy()
        return values

    def integers(name: str) -> Int:
        return numbers(name, pa.int64()).astype(np.int64, copy=False)

    shape = (len(spec.measures), len(spec.half_lives_days), batch.num_rows)
    sums = np.stack([numbers(name, pa.float64()) for name in spec.decayed_names])
    rows = Rows(
        items=pack_items(integers("title_id"), integers("location")),
        last_seen_ms=integers("last_seen") // 1000,
        totals=np.stack([numbers(name, pa.float64()) for name in spec.measure_names]),
        sums=sums.reshape(shape).astype(np.float64, copy=False),
    )
    days = pc.fill_null(batch.column("tail_day").cast(pa.int32()), NOT_TAIL)
    return Columns(integers("profile_id"), days.to_numpy().astype(np.int64), rows)


def check_order(columns: Columns, after: int) -> None:
    """Refuse rows that are not strictly ascending by (profile, day, item), or not past `after`."""
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
