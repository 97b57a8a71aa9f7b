"""Rows of data files as Arrow, in bounded pieces, with page checksums verified.

A flipped bit is an error with the file's name, never another number. Row groups whose profiles lie
outside the range asked for are passed over; deletes of other engines are applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from batch.lake import deletes
from batch.lake.data_files import LiveFile
from impressions.core.decay import Int
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.io import FileIO
    from pyiceberg.schema import Schema

_REPEATING = ("source", "device_type", "app_version")  # texts that many rows share

Profiles = tuple[int, int]
"""Half-open range [low, high) of profile ids."""

ALL_PROFILES: Profiles = (0, 1 << 63)


def rows_of(
    file: LiveFile,
    io: FileIO,
    schema: Schema,
    columns: Sequence[str],
    profiles: Profiles = ALL_PROFILES,
) -> Iterator[pa.Table]:
    """The live rows of a file whose profile is in the range, row group by row group.

    Columns that the file does not have (it is older than they are) come as nulls.

    Raises:
        CorruptData: naming the file.
    """
    with opened(file.path, io) as parquet:
        there = set(parquet.schema_arrow.names)
        needed = {*columns, *deletes.columns_needed(file.deletes, schema)} & there
        if profiles != ALL_PROFILES:
            needed.add("profile_id")
        first = 0
        for number in range(parquet.num_row_groups):
            group_rows = parquet.metadata.row_group(number).num_rows
            if _may_hold(parquet, number, profiles):
                rows = read_group(parquet, file.path, number, sorted(needed))
                if file.deletes:
                    rows = deletes.kept(rows, first, file.path, file.deletes, io, schema)
                yield _shaped(within(rows, profiles), columns, schema)
            first += group_rows


@contextmanager
def opened(path: str, io: FileIO) -> Iterator[pq.ParquetFile]:
    """A Parquet file, closed at the end of the block; CorruptData where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ExitStack() as closing:
        try:
            stream = closing.enter_context(io.new_input(path).open())
            metadata = pq.read_metadata(stream)
            there = [name for name in _REPEATING if name in metadata.schema.names]
            parquet = pq.ParquetFile(
                stream, metadata=metadata, page_checksum_verification=True, read_dictionary=there
            )
        except (pa.ArrowException, OSError) as error:
            raise _rotten(path, error) from error
        yield parquet


def _rotten(path: str, error: Exception) -> CorruptData:
    """What to say of a table's file that cannot be read."""
    first_line = str(error).partition("\n")[0]
    return CorruptData(
        f"{path}: not readable as it was written: {first_line}",
        hint="restore this file from a backup or another replica under the same name; rows of "
        "files come back with `impressions land --forget` and importing again, rows of the topic "
        "by deleting the file's rows and `impressions land`",
        reason="rotten_file",
    )


def read_group(parquet: pq.ParquetFile, path: str, number: int, columns: list[str]) -> pa.Table:
    """A row group of an open file; CorruptData where it cannot be read."""
    import pyarrow as pa

    try:
        return parquet.read_row_group(number, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _rotten(path, error) from error


def _may_hold(parquet: pq.ParquetFile, number: int, profiles: Profiles) -> bool:
    if profiles == ALL_PROFILES:
        return True
    group = parquet.metadata.row_group(number)
    at = parquet.schema_arrow.get_field_index("profile_id")
    statistics = group.column(at).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.max >= profiles[0] and statistics.min < profiles[1])


def within(rows: pa.Table, profiles: Profiles) -> pa.Table:
    """Those whose profile is in the range."""
    if profiles == ALL_PROFILES:
        return rows
    import pyarrow as pa

    profile = rows["profile_id"].to_numpy()
    inside = (profile >= profiles[0]) & (profile < profiles[1])
    return rows if np.all(inside) else rows.filter(pa.array(inside))


def _shaped(rows: pa.Table, columns: Sequence[str], schema: Schema) -> pa.Table:
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    missing = [name for name in columns if name not in rows.column_names]
    for name in missing:
        kind = schema_to_pyarrow(schema.find_field(name).field_type)
        rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
    return rows.select(list(columns))


def split(profiles: Int, parts: int) -> list[Profiles]:
    """Half-open ranges of all profiles, each with about the same number of these."""
    if not len(profiles):
        return [ALL_PROFILES]
    inner = np.unique(np.quantile(profiles, np.arange(1, parts) / parts, method="nearest"))
    edges = [0, *(int(edge) for edge in inner if edge > 0), 1 << 63]
    return list(pairwise(edges))
