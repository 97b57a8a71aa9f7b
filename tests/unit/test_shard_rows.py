"""Rows of each shard in a file of several."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.lake.shard_rows import Asked, counted
from impressions.core.errors import CorruptData


def asked(path: Path, shards: list[int], rows: int, partitions: int = 4) -> Asked:
    columns = {"profile_id": range(len(shards)), "shard": pa.array(shards, pa.int32())}
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return Asked(((str(path), rows),), {}, partitions)


def test_row_groups_of_one_shard_and_of_several_are_counted(tmp_path: Path) -> None:
    """Row groups (0, 0), (0, 1), (2, 2)."""
    path = tmp_path / "1.parquet"
    assert counted(asked(path, [0, 0, 0, 1, 2, 2], 6)) == [(str(path), [3, 1, 2, 0])]


@pytest.mark.parametrize("shards", [[0, 1], [0, 1, 2, 4], [0, 1, 2, 3, 3]])
def test_a_file_of_other_rows_than_the_table_says_is_refused(
    tmp_path: Path, shards: list[int]
) -> None:
    """Fewer, one of a shard that there is not, more; the table says four."""
    with pytest.raises(CorruptData, match=r"1\.parquet: \d rows of shards below 4, expected 4"):
        counted(asked(tmp_path / "1.parquet", shards, 4))
