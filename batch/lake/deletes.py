"""Row-level deletes of other engines, applied to the rows of one data file.

    position deletes     Parquet files of (file_path, pos)
    deletion vectors     Puffin files of bitmaps, each of one data file
    equality deletes     Parquet files of values: a row that equals one of them in those columns is
                         deleted; a null equals a null

Spark, Trino and Flink write them instead of rewriting files. `close` applies them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema


def columns_needed(deletes: Iterable[DataFile], schema: Schema) -> set[str]:
    """Columns that rows must have for these deletes to be applied."""
    ids = {field_id for delete in deletes for field_id in delete.equality_ids or ()}
    return {schema.find_column_name(field_id) or "" for field_id in ids}


def kept(
    rows: pa.Table,
    first_position: int,
    path: str,
    deletes: Sequence[DataFile],
    io: FileIO,
    schema: Schema,
) -> pa.Table:
    """The rows that are not deleted.

    Args:
        rows: consecutive rows of the data file `path`, from `first_position` on.
    """
    from pyiceberg.manifest import DataFileContent

    keep = np.ones(rows.num_rows, np.bool_)
    for delete in deletes:
        if delete.content == DataFileContent.EQUALITY_DELETES:
            keep &= ~_equal(rows, delete, io, schema)
        else:
            at = _positions(delete, path, io) - first_position
            keep[at[(at >= 0) & (at < rows.num_rows)]] = False
    import pyarrow as pa

    return rows if keep.all() else rows.filter(pa.array(keep))


def _positions(delete: DataFile, path: str, io: FileIO) -> NDArray[np.int64]:
    """Positions in the data file `path` that a file of deletes names."""
    from pyiceberg.manifest import FileFormat

    if delete.file_format == FileFormat.PUFFIN:
        return _of_vectors(delete, path, io)
    if delete.file_format != FileFormat.PARQUET:
        raise CorruptData(
            f"{delete.file_path}: row-level deletes in {delete.file_format}, expected Parquet",
            hint="let the engine that wrote them rewrite the table's files (rewrite_data_files)",
            reason="deletes_format",
        )
    import pyarrow.compute as pc

    table = _read(delete, io, ["file_path", "pos"])
    mine = table.filter(pc.equal(table["file_path"].cast("string"), path))
    return np.asarray(mine["pos"].to_numpy(), np.int64)


def _of_vectors(delete: DataFile, path: str, io: FileIO) -> NDArray[np.int64]:
    from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
    from pyiceberg.table.puffin import PuffinFile

    with io.new_input(delete.file_path).open() as stream:
        vectors = deletion_vectors_from_puffin_file(PuffinFile(stream.read()))
    mine = [v.to_vector().to_numpy() for v in vectors if v.referenced_data_file == path]
    return np.concatenate(mine).astype(np.int64) if mine else np.zeros(0, np.int64)


def _equal(rows: pa.Table, delete: DataFile, io: FileIO, schema: Schema) -> NDArray[np.bool_]:
    """Which rows equal a deleted value in all of its columns."""
    import pyarrow.compute as pc

    names = [schema.find_column_name(field_id) or "" for field_id in delete.equality_ids or ()]
    values = _read(delete, io, names)
    deleted_rows = np.ones(rows.num_rows, np.bool_)
    for name in names:
        one_of = values[name].combine_chunks().cast(rows[name].type)
        deleted_rows &= pc.is_in(rows[name], value_set=one_of).to_numpy(zero_copy_only=False)
    if len(names) > 1 and deleted_rows.any():  # each column alone is necessary, not enough
        deleted = set(zip(*(values[name].to_pylist() for name in names), strict=True))
        at = np.flatnonzero(deleted_rows)
        some = rows.select(names).take(at)
        tuples = zip(*(some[name].to_pylist() for name in names), strict=True)
        deleted_rows[at] = [row in deleted for row in tuples]
    return deleted_rows


def _read(delete: DataFile, io: FileIO, columns: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with io.new_input(delete.file_path).open() as stream:
        return pq.ParquetFile(stream, page_checksum_verification=True).read(columns=columns)
