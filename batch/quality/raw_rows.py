"""Rows of raw, as Arrow has them, become the columns that are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.lake.arrow_columns import integers
from batch.quality.counts import Rows
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "profile_id", "title_id", "location", "event_time", "ingest_time", "played", "dwell_s",
    "duplicate", "device_type", "app_version",
)  # fmt: skip


def rows_of(table: pa.Table) -> Rows:
    """Of a table in the order (profile, title, event time), whose `duplicate` is decided."""
    device, devices = _codes(table["device_type"])
    version, versions = _codes(table["app_version"])
    return Rows(
        profile_id=integers(table, "profile_id"),
        title_id=integers(table, "title_id"),
        location=integers(table, "location"),
        event_us=integers(table, "event_time"),
        ingest_us=integers(table, "ingest_time"),
        played=_flags(table["played"]),
        dwell_s=table["dwell_s"].fill_null(0.0).to_numpy(),
        duplicate=_flags(table["duplicate"]),
        device=device,
        version=version,
        devices=devices,
        versions=versions,
    )


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(column.fill_null(False).to_numpy(zero_copy_only=False)).astype(np.bool_)


def _codes(column: pa.ChunkedArray) -> tuple[Int, list[str]]:
    """(n,) the place of each text in the list; -1 where it is null."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries()
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in whole.chunks]
    words = whole.chunk(0).dictionary.to_pylist() if whole.num_chunks else []
    joined = np.concatenate([np.zeros(0, np.int64), *codes]).astype(np.int64)
    return joined, words
