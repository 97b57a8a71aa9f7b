"""Rows of the aggregate table as numpy columns: what a row is, for export and audits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.item import pack as pack_items
from impressions.core.rows import ALL, Index, Rows
from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

NOT_TAIL = -1
"""Stands for "no tail day" in the day column; sorts before every day, as null does."""


@dataclass(frozen=True)
class Columns:
    """n rows of the aggregate table in numpy; `days` holds UTC days, or -1 outside the tail."""

    profiles: Int
    days: Int
    rows: Rows


def column_names(spec: Spec) -> list[str]:
    """The columns that a row is packed from; the shard says nothing that the profile does not."""
    keys = ("profile_id", "title_id", "location", "tail_day", "last_seen")
    return [*keys, *spec.measure_names, *spec.decayed_names]


def columns_of(batch: pa.Table | pa.RecordBatch, spec: Spec, order: Index = ALL) -> Columns:
    """Numpy columns of rows of `impressions.ema`.

    Args:
        batch: `column_names`; profile_id, title_id int64; location int32; tail_day date32 or null;
            last_seen timestamp[us]; numbers.
        order: which rows, in which order.

    Raises:
        CorruptData: a null in any column but tail_day.
    """
    import pyarrow as pa

    profiles = integers_of(batch, "profile_id")[order]
    measures, half_lives, n = len(spec.measures), len(spec.half_lives_days), len(profiles)
    totals, sums = np.empty((measures, n)), np.empty((measures * half_lives, n))
    for names, into in ((spec.measure_names, totals), (spec.decayed_names, sums)):
        for name, row in zip(names, into, strict=True):
            row[:] = _numbers(batch, name, pa.float64())[order]
    rows = Rows(
        items=items_of(batch)[order],
        last_seen_ms=integers_of(batch, "last_seen")[order] // 1000,
        totals=totals,
        sums=sums.reshape(measures, half_lives, n),
    )
    return Columns(profiles, days_of(batch)[order], rows)


def items_of(batch: pa.Table | pa.RecordBatch) -> Int:
    """(n,) title and location as one number."""
    return pack_items(integers_of(batch, "title_id"), integers_of(batch, "location"))


def days_of(batch: pa.Table | pa.RecordBatch) -> Int:
    """(n,) UTC days, or NOT_TAIL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days = pc.fill_null(batch.column("tail_day").cast(pa.int32()), NOT_TAIL)
    return days.to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def integers_of(batch: pa.Table | pa.RecordBatch, name: str) -> Int:
    """(n,) a column of integers or times. Raises CorruptData for a null."""
    import pyarrow as pa

    return _numbers(batch, name, pa.int64()).astype(np.int64, copy=False)


def _numbers(batch: pa.Table | pa.RecordBatch, name: str, kind: pa.DataType) -> NDArray[np.generic]:
    column = batch.column(name)
    if column.null_count:
        raise CorruptData(f"aggregate table: {column.null_count} nulls in {name}, expected 0")
    values: NDArray[np.generic] = column.cast(kind).to_numpy(zero_copy_only=False)
    return values
