"""The order of rows in a file of raw: shard, profile, title, event time; and rows put in an order.

One number a row where all fit into 63 bits together, which sorts several times as fast as several
keys. The ranks of profiles by (shard, profile) stand for both, for a profile has one shard, and
ages since the oldest event for times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("shard", "profile_id", "title_id", "event_time")
"""Columns whose values `sort_order` takes."""


def sort_order(shard: Int, profile_id: Int, title_id: Int, event_us: Int) -> Int:
    """(n,) the places of the rows in ascending order of shard, profile, title and event time."""
    if not len(profile_id):
        return np.empty(0, np.int64)
    profiles, first, rank = np.unique(profile_id, return_index=True, return_inverse=True)
    rank = _inverse(np.lexsort((profiles, shard[first])))[rank]
    age = event_us - event_us.min()
    if not np.any(age % 1000):  # ours are whole milliseconds, which take ten bits less
        age //= 1000
    title_bits, age_bits = int(title_id.max()).bit_length(), int(age.max()).bit_length()
    if int(title_id.min()) < 0 or title_bits + age_bits + len(profiles).bit_length() > 63:
        return np.lexsort((event_us, title_id, rank))
    key = (rank << (title_bits + age_bits)) | (title_id << age_bits) | age
    return np.argsort(key, kind="stable")


def _inverse(order: Int) -> Int:
    """(n,) at each value of a permutation, its place."""
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order))
    return found


def in_order(rows: pa.Table, order: Int, of_one_slot: bool = True) -> pa.Table:
    """Rows in an order, which leaves columns alone whose values are all the same.

    Args:
        of_one_slot: all of `rows` are, so the slot is such a column.
    """
    import pyarrow as pa

    at, n = pa.array(order), rows.num_rows
    columns = [
        column.slice(0, len(order))
        if (of_one_slot and name == "ingest_slot") or _is_constant(column, n)
        else column.take(at)
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=rows.column_names)


def _is_constant(column: pa.ChunkedArray, n: int) -> bool:
    import pyarrow as pa

    if column.null_count:
        return bool(column.null_count == n)
    if not pa.types.is_dictionary(column.type):
        return False
    return all(len(chunk.dictionary) == 1 for chunk in column.chunks)
