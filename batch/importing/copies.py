"""Which rows of files are the same device flush stored twice: copies, numbered.

Kafka says which impressions were sent together; a file does not, so the rule is:

    with an ingest column     rows with the same (profile, log_id, ingest_time) are one occurrence
                              of that flush. A row that repeats another of them in every mapped
                              column is the same flush stored again, same stamp: copy 1, 2, ...
    ingest time = event time  nothing groups a flush, so a row is identified by its log_id and
                              content together (raw_rows.py), and each further row of that id is
                              the next copy

`log_index` is the number of the copy, `log_offset` the ingest time in ms, so copies count as later
occurrences and the rule of duplicates drops them. A flush with a later ingest time is a later
occurrence anyway. Copies are numbered on from those that raw holds already, so that importing files
one by one, or overlapping ones, gives what importing them together gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batch.closing.duplicates import groups_of
from batch.importing.raw_rows import ORIGINAL
from batch.jobs.occurrences import occurrence
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = ("profile_id", "log_id", "ingest_time")
_CONTENT = (
    "event_time", "title_id", "location", "row", "position", "played", "dwell_s", "device_type",
    "app_version",
)  # fmt: skip
_NULL = -(1 << 62)  # no value of any of these columns


def numbered(new: pa.Table, standing: pa.Table, by_content: bool) -> pa.Table:
    """`new` with log_index = number of the copy, after the copies that are standing.

    Args:
        new: rows of raw that have a log_id, and ORIGINAL.
        standing: rows of raw of the same place.
        by_content: a copy is a row of the same log with the same content; else log_id covers that.
    """
    import pyarrow as pa

    if not new.num_rows:
        return new
    held = _of_files(standing)
    names = _LOG + (_CONTENT if by_content else ())
    columns = [_integers(new, held, name) for name in names]
    first, group = groups_of(columns)
    own, theirs = group[: new.num_rows], group[new.num_rows :]
    newest = np.full(len(first), -1, np.int64)
    np.maximum.at(newest, theirs, held["log_index"].to_numpy())
    index = newest[own] + 1 + _rank(own, new[ORIGINAL].to_numpy(), _source_order(new))
    at = new.column_names.index("log_index")
    return new.set_column(at, "log_index", pa.array(index).cast(pa.int32()))


def _rank(group: Int, original_ms: Int, source: Int) -> Int:
    """(n,) how many rows with the same group and the same time as the device said it come before;
    in the order of their sources, so that files may be read in any order."""
    _, same = groups_of((group, original_ms))
    return occurrence(same, np.argsort(source, kind="stable"))


def _source_order(rows: pa.Table) -> Int:
    """(n,) the place of each row's source among all of them."""
    import pyarrow.compute as pc

    encoded = _plain(rows["source"]).combine_chunks().dictionary_encode()
    place = np.asarray(pc.rank(encoded.dictionary), np.int64)
    codes: Int = encoded.indices.to_numpy(zero_copy_only=False)
    return place[codes]


def _of_files(standing: pa.Table) -> pa.Table:
    """A Kafka row's index is its place in a record, not the number of a copy."""
    import pyarrow as pa
    import pyarrow.compute as pc

    of_file = pc.starts_with(standing["source"].cast(pa.string()), "file:")
    return standing.filter(pc.and_(of_file, standing["log_id"].is_valid()))


def _integers(new: pa.Table, held: pa.Table, name: str) -> Int:
    """(new + held,) a column as integers that are equal where its values are."""
    import pyarrow as pa

    column = pa.chunked_array([*_plain(new[name]).chunks, *_plain(held[name]).chunks])
    if pa.types.is_string(column.type):
        column = column.combine_chunks().dictionary_encode().indices
    elif pa.types.is_floating(column.type):
        values = column.to_numpy()
        return np.asarray((values + 0.0).view(np.int64))
    return np.asarray(column.cast(pa.int64()).fill_null(_NULL).to_numpy())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
