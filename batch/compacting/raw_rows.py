"""Rows of raw as numpy columns: what tasks of compact read of an impression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impressions.compiled.sums import Impressions
from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_TITLE
from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ("profile_id", "title_id", "location", "event_time", "duplicate")


def columns_of_raw(spec: Spec) -> tuple[str, ...]:
    """What is read of raw."""
    return (*_KEYS, *spec.added_columns)


def impressions_of(batch: pa.RecordBatch, spec: Spec) -> Impressions:
    """Numpy columns of rows of raw.

    Raises:
        CorruptData: a null, or a title that has no place in an item.
    """
    import pyarrow as pa

    def column(name: str, kind: pa.DataType) -> np.ndarray:
        values = batch.column(name)
        if values.null_count:
            raise CorruptData(f"raw: {values.null_count} nulls in {name}, expected 0")
        return np.asarray(values.cast(kind).to_numpy(zero_copy_only=False))

    values = np.empty((len(spec.added_columns), batch.num_rows))
    for name, row in zip(spec.added_columns, values, strict=True):
        row[:] = column(name, batch.schema.field(name).type)
    titles = column("title_id", pa.int64())
    if len(titles) and not 0 <= titles.min() <= titles.max() <= MAX_TITLE:
        raise CorruptData(f"raw: a title is outside of 0..{MAX_TITLE}")  # shifted, another title
    in_us = pa.timestamp("us", batch.schema.field("event_time").type.tz)
    return Impressions(
        profiles=column("profile_id", pa.int64()),
        titles=titles,
        locations=column("location", pa.int32()),
        event_us=column("event_time", in_us).view(np.int64),
        left_out=column("duplicate", pa.bool_()),
        values=values,
    )


def no_impressions(spec: Spec) -> Impressions:
    none = np.zeros(0, np.int64)
    values = np.zeros((len(spec.added_columns), 0))
    return Impressions(none, none, np.zeros(0, np.int32), none, np.zeros(0, np.bool_), values)


def some_of(of: Impressions, rows: Int) -> Impressions:
    """Those at these positions."""
    return Impressions(*(column.take(rows, axis=-1) for column in vars(of).values()))


def joined(first: Impressions, second: Impressions) -> Impressions:
    """Those of both, one after the other."""
    both = zip(vars(first).values(), vars(second).values(), strict=True)
    return Impressions(*(np.concatenate(columns, axis=-1) for columns in both))
