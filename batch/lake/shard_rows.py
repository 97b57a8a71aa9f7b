"""How many rows each shard has in files that hold several: counted, not estimated.

The footer says it of a row group whose shards are all the same; of one that several shards share
the column `shard` is read, which is some bytes. Every row must be of a shard that there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.lake.data_file_rows import known_bounds
from batch.lake.opened_files import open_parquet
from batch.lake.profile_merge import naming
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_SHARD = "shard"


@dataclass(frozen=True)
class Asked:
    """Files to count; travels to Spark's executors.

    Attributes:
        files: (path, rows that the table's metadata say).
        storage: how to open them (`opened_files.open_parquet`).
    """

    files: tuple[tuple[str, int], ...]
    storage: Mapping[str, str]
    partitions: int


def counted(asked: Asked) -> list[tuple[str, list[int]]]:
    """Each path with its (partitions,) rows by shard.

    Raises:
        CorruptData: a file cannot be read, or has not the rows that it should have.
    """
    return [(path, _of_file(path, rows, asked)) for path, rows in asked.files]


def _of_file(path: str, rows: int, asked: Asked) -> list[int]:
    found = np.zeros(asked.partitions, np.int64)
    with naming(path):
        file = open_parquet(path, asked.storage)
        for group in range(file.num_row_groups):
            for shard, count in _of_group(file, group, path):
                if 0 <= shard < asked.partitions:
                    found[shard] += count
        file.close()
    if found.sum() != rows:
        raise CorruptData(
            f"{path}: {found.sum():,} rows of shards below {asked.partitions}, expected {rows:,}, "
            "as the table's metadata say: nothing was published",
            hint="run compact again; if it stays so, the file was replaced by hand",
            reason="rows_differ",
        )
    return found.tolist()


def _of_group(file: pq.ParquetFile, group: int, path: str) -> list[tuple[int, int]]:
    """(shard, rows) of a row group."""
    metadata = file.metadata.row_group(group)
    known = known_bounds(metadata, file.schema_arrow, _SHARD)
    if known is not None and known[0] == known[1]:
        return [(known[0], metadata.num_rows)]
    column = file.read_row_group(group, columns=[_SHARD], use_threads=False)[_SHARD]
    if column.null_count:
        raise CorruptData(f"{path}: {column.null_count} nulls in {_SHARD}, expected 0")
    shards, rows = np.unique(column.to_numpy(), return_counts=True)
    return list(zip(shards.tolist(), rows.tolist(), strict=True))
