"""Counts of a closed slot, from its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.closing.ranges import ranges_of, sampled_of
from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import Keys, rows_of
from batch.lake.data_file_writer import Target
from batch.lake.data_files import ALL_SHARDS, LiveFile
from batch.lake.sort_order import KEYS, in_order, sort_order
from batch.quality import raw_rows
from batch.quality.counts import Counts, added, count

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Counting:
    """What to count; travels to Spark's executors."""

    files: tuple[LiveFile, ...]
    target: Target
    slot_ms: int
    memory_bytes: int

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(file.path for file in self.files)


def count_files(task: Counting) -> Counts:
    """Reads the columns that are counted, in ranges that fit into memory."""
    rows = sum(file.data.record_count for file in task.files)
    ranges = ranges_of(
        ALL_SHARDS, rows, task.memory_bytes, lambda: sampled_of(task.files, task.target, ALL_SHARDS)
    )
    return added(count(raw_rows.rows_of(_sorted(task, r)), task.slot_ms * 1000) for r in ranges)


def _sorted(task: Counting, keys: Keys) -> pa.Table:
    import pyarrow as pa

    schema = task.target.metadata.schema()
    pieces = [
        piece
        for file in task.files
        for piece in rows_of(file, task.target.io, schema, ("shard", *raw_rows.COLUMNS), keys)
    ]
    rows = pa.concat_tables(pieces, promote_options="permissive").unify_dictionaries()
    return in_order(rows, sort_order(*(integers(rows, name) for name in KEYS)))
