"""Rows of the aggregate table as numpy columns, and back: what a row is, for compact and export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.lake.columns import arrow_schema, ema_columns
from impressions.compiled.sums import Sums
from impressions.core.decay import Float, Int
from impressions.core.errors import CorruptData
from impressions.core.item import location_of, title_of
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


def columns_of_sums(sums: Sums, spec: Spec) -> Columns:
    """What a kernel has filled, as rows."""
    measures, half_lives = len(spec.measures), len(spec.half_lives_days)
    decayed = sums.numbers[measures:].reshape(measures, half_lives, len(sums.items))
    rows = Rows(sums.items, sums.last_seen_ms, sums.numbers[:measures], decayed)
    return Columns(sums.profiles, sums.days, rows)


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


def keys_of(pieces: Sequence[Columns]) -> Int:
    """(3, n) profile, item and day of the rows of all pieces."""
    none = np.zeros((3, 0), np.int64)
    stacked = (np.stack((p.profiles, p.rows.items, p.days)) for p in pieces)
    return np.concatenate([none, *stacked], axis=1)


def numbers_of(pieces: Sequence[Columns], spec: Spec) -> Float:
    """(1 + M + M * H, n) last seen, totals and sums of the rows of all pieces."""
    none = np.zeros((1 + len(spec.measures) + len(spec.decayed_names), 0))
    stacked = (np.vstack((p.rows.last_seen_ms, p.rows.totals, p.rows.flat_sums)) for p in pieces)
    return np.concatenate([none, *stacked], axis=1)


def table_of(columns: Columns, shard: int, spec: Spec) -> pa.Table:
    """Rows of `impressions.ema`; the opposite of `columns_of`."""
    import pyarrow as pa

    rows, n = columns.rows, len(columns.rows)
    keys = {
        "shard": pa.repeat(pa.scalar(shard, pa.int32()), n),
        "profile_id": columns.profiles,
        "title_id": title_of(rows.items),
        "location": pa.array(location_of(rows.items).astype(np.int32)),
        "tail_day": pa.array(columns.days.astype(np.int32), mask=columns.days == NOT_TAIL),
        "last_seen": (rows.last_seen_ms * 1000).view("datetime64[us]"),
    }
    totals = {
        m.name: x.astype(np.int64) if m.integral else x
        for m, x in zip(spec.measures, rows.totals, strict=True)
    }
    sums = dict(zip(spec.decayed_names, rows.flat_sums, strict=True))
    schema = arrow_schema(ema_columns(spec))
    arrays = {name: pa.array(values) for name, values in (keys | totals | sums).items()}
    return pa.table([arrays[field.name].cast(field.type) for field in schema], schema=schema)
