"""Ranges of shards and profiles with about as many rows as fit into memory.

What is too large for memory is done in ranges, one after the other: a flush belongs to one profile,
and the order of the files is that of shards and profiles, so ranges change no answer and no byte
order. Row groups are sorted too: each range reads little more than its own. Where the ranges are
cut says a sample of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import Keys, rows_of
from batch.lake.data_file_writer import Target
from batch.lake.data_files import LiveFile, Shards
from batch.lake.key_ranges import cut
from impressions.core.decay import Int

ROW_BYTES = 400
"""Memory that closing takes for a row: itself twice, and the keys of sorting and comparing."""

SAMPLED_EVERY = 64

Sampled = tuple[Int, Int]
"""(n,) shards and (n,) profiles of some rows."""


def ranges_of(
    shards: Shards, rows: int, memory_bytes: int, sampled: Callable[[], Iterable[Sampled]]
) -> list[Keys]:
    """Ranges with about as many rows as fit into memory.

    Args:
        rows: at most.
        sampled: of some of the rows; asked only where one range is not enough.
    """
    most = max(1, memory_bytes // ROW_BYTES)
    if rows <= most:
        return [Keys(shards)]
    some = list(sampled())
    rows = min(rows, SAMPLED_EVERY * sum(len(profiles) for _, profiles in some))
    return cut(shards, rows, most, some)


def sampled_of(files: Iterable[LiveFile], target: Target, shards: Shards) -> Iterator[Sampled]:
    """Of some rows of files."""
    columns, schema = ("shard", "profile_id"), target.metadata.schema()
    for file in files:
        for rows in rows_of(file, target.io, schema, columns, Keys(shards)):
            shard, profile = (integers(rows, name)[::SAMPLED_EVERY] for name in columns)
            yield shard, profile
