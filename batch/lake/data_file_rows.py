"""Rows of data files as Arrow, in bounded pieces, with page checksums verified.

A flipped bit is an error with the file's name, never another number. Row groups whose profiles lie
or shards lie
outside the range asked for are passed over; deletes of other engines are applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from batch.lake import deletes
from batch.lake.data_files import ALL_SHARDS, LiveFile, Shards
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


@dataclass(frozen=True)
class Keys:
    """A range of the rows of raw: of some shards, the profiles in a range."""

    shards: Shards = ALL_SHARDS
    profiles: Profiles = ALL_PROFILES


ALL_KEYS = Keys()


def rows_of(
    file: LiveFile,
    io: FileIO,
    schema: Schema,
    columns: Sequence[str],
    keys: Keys = ALL_KEYS,
) -> Iterator[pa.Table]:
    """The live rows of a file in a range, row group by row group.

    Columns that the file does not have (it is older than they are) come as nulls.

    Raises:
        CorruptData: naming the file.
    """
    with opened(file.path, io) as parquet:
        there = set(parquet.schema_arrow.names)
        needed = {*columns, *deletes.columns_needed(file.deletes, schema)} & there
        needed |= {name for name, _ in _bounds(keys)}
        first = 0
        for number in range(parquet.num_row_groups):
            group_rows = parquet.metadata.row_group(number).num_rows
            if may_hold(parquet.metadata.row_group(number), parquet.schema_arrow, keys):
                rows = read_group(parquet, file.path, number, sorted(needed))
                if file.deletes:
                    rows = deletes.kept(rows, first, file.path, file.deletes, io, schema)
                yield _shaped(within(rows, keys), columns, schema)
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


def may_hold(group: pq.RowGroupMetaData, columns: pa.Schema, keys: Keys) -> bool:
    """Whether a row group may have rows in the range, by its statistics."""
    for name, (low, high) in _bounds(keys):
        known = known_bounds(group, columns, name)
        if known is not None and (known[1] < low or known[0] >= high):
            return False
    return True


def known_bounds(
    group: pq.RowGroupMetaData, columns: pa.Schema, name: str
) -> tuple[int, int] | None:
    """The smallest and the largest number of a column, as a row group says; None: it does not."""
    at = columns.get_field_index(name)
    statistics = group.column(at).statistics if at >= 0 else None
    if statistics is None or not statistics.has_min_max:
        return None
    return statistics.min, statistics.max


def within(rows: pa.Table, keys: Keys) -> pa.Table:
    """Those in the range."""
    import pyarrow as pa

    for name, (low, high) in _bounds(keys):
        values = rows[name].to_numpy()
        inside = (values >= low) & (values < high)
        if not np.all(inside):
            rows = rows.filter(pa.array(inside))
    return rows


def _bounds(keys: Keys) -> list[tuple[str, tuple[int, int]]]:
    """The columns that a range is about, with their half-open bounds."""
    shards = [("shard", keys.shards)] if keys.shards != ALL_SHARDS else []
    profiles = [("profile_id", keys.profiles)] if keys.profiles != ALL_PROFILES else []
    return [*shards, *profiles]


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
