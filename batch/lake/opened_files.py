"""Data files that the parts of one task read one after the other, each opened and decoded once.

A closed slot is one file of many shards, so a task of several shards meets the same files again for
each of them. What is kept of a file: its footer, its bytes where it is small, and the row group
that was decoded last where several shards share it. `passed` lets go of files of earlier shards.

Row groups that a single shard has are not kept: nobody else reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.lake.data_file_rows import ALL_KEYS, Keys, known_bounds, may_hold
from batch.lake.data_files import ALL_SHARDS
from batch.lake.locations import local_path
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BUFFER_BYTES = 1 << 20
_SMALL_BYTES = 256 << 10
_SHARD = "shard"


def open_parquet(
    path: str, storage: Mapping[str, str], metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """A data file, by the path that Iceberg has of it; checksums of pages are verified.

    Args:
        storage: properties of pyiceberg's FileIO, such as `s3.endpoint`; local files need none.
        metadata: its footer, where that is known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # As a Path: in a text pyarrow takes `%20` for an escape.
    if (local := local_path(path)) is not None:
        if local.stat().st_size <= _SMALL_BYTES:
            data = pa.BufferReader(local.read_bytes())
            return pq.ParquetFile(data, metadata=metadata, page_checksum_verification=True)
        return pq.ParquetFile(
            local, metadata=metadata, pre_buffer=False, buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
        )  # fmt: skip
    from pyiceberg.io import load_file_io

    source = load_file_io(dict(storage), path).new_input(path).open()
    return pq.ParquetFile(
        source, metadata=metadata, pre_buffer=True, page_checksum_verification=True
    )


@dataclass
class Known:
    """What is known of a file; see `Opened`.

    Attributes:
        small: the file itself, in memory.
        shared, rows: the row group that was decoded last, and its rows.
    """

    path: str
    metadata: pq.FileMetaData
    columns: pa.Schema
    small: pq.ParquetFile | None
    shared: int = -1
    rows: pa.RecordBatch | None = None

    def groups(self, keys: Keys) -> list[int]:
        """Row groups that may hold rows in the range."""
        every = map(self.metadata.row_group, range(self.metadata.num_row_groups))
        return [
            number
            for number, group in enumerate(every)
            if group.num_rows and (keys == ALL_KEYS or may_hold(group, self.columns, keys))
        ]

    def is_shared(self, group: int, keys: Keys) -> bool:
        """Whether a row group may also have rows of other shards than the range."""
        if keys.shards == ALL_SHARDS:
            return False
        known = known_bounds(self.metadata.row_group(group), self.columns, _SHARD)
        return known is None or known[0] < keys.shards[0] or known[1] >= keys.shards[1]

    @property
    def last_shard(self) -> int:
        """No row is of a later one."""
        number = self.metadata.num_row_groups
        if not number:
            return -1
        known = known_bounds(self.metadata.row_group(number - 1), self.columns, _SHARD)
        return ALL_SHARDS[1] if known is None else known[1]


def not_sorted(path: str, what: str) -> CorruptData:
    """What to say of a file whose rows are out of order."""
    return CorruptData(
        f"{path}: {what} do not ascend; expected a sorted file",
        hint="of raw, a file that another engine wrote, as rewrite_data_files does without "
        "a sort order: impressions close --again --slot DATE sorts it",
        reason="not_sorted",
    )


class Opened:
    """Files of one table, for one task.

    Args:
        storage: as in `open_parquet`.
        columns: to decode.
        memory_bytes: of decoded row groups that are kept; one that does not fit is decoded again.
    """

    def __init__(self, storage: Mapping[str, str], columns: Sequence[str], memory_bytes: int):
        self._storage, self._columns = storage, list(columns)
        self._free_bytes = memory_bytes
        self._known: dict[str, Known] = {}

    def look(self, path: str) -> Known:
        """The footer of a file, read once."""
        if path not in self._known:
            file = open_parquet(path, self._storage)
            local = local_path(path)
            is_small = local is not None and local.stat().st_size <= _SMALL_BYTES
            self._known[path] = Known(
                path, file.metadata, file.schema_arrow, file if is_small else None
            )
            if not is_small:
                file.close()
        return self._known[path]

    def file(self, known: Known) -> pq.ParquetFile:
        """The file, for a reader of its own; the caller closes it where it is no small one."""
        return known.small or open_parquet(known.path, self._storage, known.metadata)

    def of_shard(self, known: Known, group: int, keys: Keys) -> pa.RecordBatch:
        """The rows of a range's shards in a row group that they share with others."""
        rows = self._decoded(known, group)
        start, end = np.searchsorted(rows.column(_SHARD).to_numpy(), keys.shards).tolist()
        return rows.select(self._columns).slice(start, end - start)

    def passed(self, shard: int) -> None:
        """No later part asks for this shard or an earlier one."""
        for path in [path for path, one in self._known.items() if one.last_shard <= shard]:
            self._let_go(self._known.pop(path))

    def _decoded(self, known: Known, group: int) -> pa.RecordBatch:
        import pyarrow as pa

        if known.rows is not None and known.shared == group:
            return known.rows
        self._let_go(known)
        file = self.file(known)
        columns = [*self._columns, _SHARD]
        table = file.read_row_group(group, columns=columns, use_threads=False)
        if known.small is None:
            file.close()
        rows = pa.concat_batches(table.to_batches())
        shards = rows.column(_SHARD).to_numpy()
        if (shards[1:] < shards[:-1]).any():
            raise not_sorted(known.path, "shards")
        if rows.nbytes <= self._free_bytes:
            self._free_bytes -= rows.nbytes
            known.shared, known.rows = group, rows
        return rows

    def _let_go(self, known: Known) -> None:
        if known.rows is not None:
            self._free_bytes += known.rows.nbytes
            known.shared, known.rows = -1, None
