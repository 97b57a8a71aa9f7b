"""What it costs to read files, from metadata: in bytes of raw.

Of raw the columns that are read count. Reading and moving a byte of a generation takes less CPU
than decoding and adding up a byte of raw, and opening a file takes some, however small it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from batch.compacting.raw_rows import columns_of_raw
from batch.lake.data_files import LiveFile, bound
from impressions.core.spec import Spec

if TYPE_CHECKING:
    from pyiceberg.table import Table

OLD_BYTE, FILE_BYTES = 0.3, 16_000
"""Bytes of raw that take as long as a byte of a generation, and as opening a file; measured in
docs/decisions/0045-incremental.md."""

GAIN = 1.5
"""How many times dearer from scratch must be: what is not won for certain is not tried."""


@dataclass(frozen=True)
class Shares:
    """What part of a file's rows is of a shard, about; opening it is shared out like its rows, for
    the shards of a task open it once.

    Attributes:
        before: (partitions + 1,) rows of all shards before each, about.
    """

    before: Sequence[int]

    @staticmethod
    def of(rows: Sequence[int]) -> Shares:
        """Of (partitions,) rows of each shard, about."""
        return Shares(list(accumulate(rows, initial=0)))

    def rows(self, shard: int) -> int:
        return self.before[shard + 1] - self.before[shard]

    def share(self, shard: int, file: LiveFile) -> float:
        first, end = file.shards[0], min(file.shards[1], len(self.before) - 1)
        several = self.before[end] - self.before[first]
        return self.rows(shard) / several if several else 1 / (end - first)

    def rows_in(self, shard: int, files: Iterable[LiveFile]) -> int:
        return round(sum(file.data.record_count * self.share(shard, file) for file in files))


def of_raw(raw: Table, shard: int, files: Iterable[LiveFile], spec: Spec, shares: Shares) -> float:
    """Of a shard's rows in files of raw."""
    ids = [raw.schema().find_field(name).field_id for name in columns_of_raw(spec)]
    return sum((_bytes(file, ids) + FILE_BYTES) * shares.share(shard, file) for file in files)


def of_counting(shard: int, files: Iterable[LiveFile], shares: Shares) -> float:
    """Of asking files of several shards for the rows of each (row_counts.py), which is only done
    where a shard is not from scratch."""
    several = (file for file in files if file.shards[1] - file.shards[0] > 1)
    return sum(FILE_BYTES * shares.share(shard, file) for file in several)


def of_old(files: Iterable[LiveFile]) -> float:
    """Of the generation before."""
    return sum(file.data.file_size_in_bytes * OLD_BYTE + FILE_BYTES for file in files)


def _bytes(file: LiveFile, ids: Sequence[int]) -> int:
    """Of some columns, where the table knows their sizes."""
    sizes: Mapping[int, int] = file.data.column_sizes or {}
    if all(i in sizes for i in ids):
        return sum(sizes[i] for i in ids)
    return file.data.file_size_in_bytes


def may_hold(raw: Table, file: LiveFile, low_us: int, high_us: int) -> bool:
    """Whether a file may have events in [low_us, high_us), by its bounds; without them it may."""
    if low_us >= high_us:
        return False
    oldest, newest = (bound(raw, file.data, "event_time", upper=upper) for upper in (False, True))
    return (oldest is None or oldest < high_us) and (newest is None or newest >= low_us)
