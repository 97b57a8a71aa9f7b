"""The shards of a published generation, each packed by a task that reads its files by itself.

Rows come from the data files that Iceberg lists for the tagged snapshot (lake/profile_merge.py),
so a task holds a few batches, however large its shard. Files with row-level deletes of somebody's
own hands are read with these applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.exporting import sst_files
from batch.exporting.sst_files import Packing
from batch.jobs.same_spec import SpecOf
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import Target
from batch.lake.data_files import LiveFile
from batch.lake.ema_columns import column_names, columns_of
from batch.lake.profile_merge import complete_profiles_of
from impressions.core.errors import Refused
from impressions.core.shard import shards_of
from impressions.formats.manifest import SstFile

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Shard:
    """What to pack; travels to Spark's executors."""

    shard: int
    partitions: int
    files: tuple[LiveFile, ...]
    target: Target
    spec: SpecOf
    packing: Packing


@dataclass(frozen=True)
class Written:
    """What became of a shard: its files, and how many rows of the table are in them."""

    shard: int
    entries: int
    files: tuple[SstFile, ...]


def by_shard(files: Iterable[LiveFile]) -> dict[int, tuple[LiveFile, ...]]:
    """Files that have rows; the largest shard first, so that no task begins late and long.

    Raises:
        Refused: a file that is no Parquet.
    """
    found: dict[int, list[LiveFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        if str(file.data.file_format).upper() not in ("PARQUET", "FILEFORMAT.PARQUET"):
            raise Refused(
                f"{file.path} is {file.data.file_format}, expected PARQUET",
                hint="impressions compact writes the generation again",
                reason="not_parquet",
            )
        if file.data.record_count:
            found.setdefault(file.partition["shard"], []).append(file)
    rows = {shard: sum(f.data.record_count for f in of) for shard, of in found.items()}
    return {shard: tuple(found[shard]) for shard in sorted(found, key=lambda s: (-rows[s], s))}


def entries_of(files: Sequence[LiveFile], target: Target) -> int:
    """Rows of a shard: from the metadata, or counted where rows are deleted."""
    schema = target.metadata.schema()
    return sum(
        sum(rows.num_rows for rows in rows_of(file, target.io, schema, ("profile_id",)))
        if file.deletes
        else file.data.record_count
        for file in files
    )


def pack_shard(task: Shard) -> Written:
    """Writes the SST files of a shard.

    Raises:
        CorruptData: a file cannot be read, or its rows are out of order.
        Refused: a profile of another shard; another spec than the driver's.
    """
    spec = task.spec.known()
    pieces = (columns_of(piece, spec) for piece in _of_shard(_pieces(task), task))
    with sst_files.files_of(task.packing, task.shard) as files:
        entries = sst_files.write(files, pieces, task.packing, spec)
        return Written(task.shard, entries, tuple(files.done))


def _pieces(task: Shard) -> Iterator[pa.Table | pa.RecordBatch]:
    columns = column_names(task.spec.known())
    if not any(file.deletes for file in task.files):
        storage: Mapping[str, str] = task.target.io_properties
        yield from complete_profiles_of([file.path for file in task.files], columns, storage)
        return
    import pyarrow as pa

    schema = task.target.metadata.schema()
    tables = [t for file in task.files for t in rows_of(file, task.target.io, schema, columns)]
    if any(table.num_rows for table in tables):
        yield pa.concat_tables(tables).sort_by("profile_id")


def _of_shard(
    pieces: Iterable[pa.Table | pa.RecordBatch], task: Shard
) -> Iterator[pa.Table | pa.RecordBatch]:
    """The pieces, refused where a profile is of another shard."""
    for piece in pieces:
        profiles = np.unique(piece.column("profile_id").to_numpy())
        elsewhere = np.flatnonzero(shards_of(profiles, task.partitions) != task.shard)
        if len(elsewhere):
            raise Refused(
                f"profile {profiles[elsewhere[0]]} is not of shard {task.shard} of "
                f"{task.partitions}",
                reason="wrong_shard",
            )
        yield piece
