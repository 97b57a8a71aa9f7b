"""Until when files brought rows into raw: the newest ingest time of a row that no topic brought.

Mostly from metadata: bounds of `source` say whether a file of the table holds rows of a topic, of
imported files, or of both; only those that hold both are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batch.lake.arrow_columns import integers
from batch.lake.cursor import SOURCE_PREFIX
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import LiveFile, bound, live_files, source_bounds

if TYPE_CHECKING:
    from pyiceberg.table import Table


def newest_of_files(
    raw: Table, snapshot_id: int | None, without: frozenset[str] = frozenset()
) -> int | None:
    """The newest ingest time of any row that came from a file; None without one.

    Files whose bounds of `source` lie before "kafka:" hold rows of files only, so their bounds of
    the ingest time answer it; only files that hold both are read.

    Args:
        without: sources to leave out.
    """
    newest: list[int] = []
    for file in live_files(raw, snapshot_id):
        low, high = source_bounds(raw, file)
        if low is not None and (low >= SOURCE_PREFIX or (low == high and low in without)):
            continue
        if low is None or high >= SOURCE_PREFIX or file.deletes or (low != high and without):
            newest += _newest(raw, file, without)
        else:
            newest.append(bound(raw, file.data, "ingest_time", upper=True) // 1000)
    return max(newest, default=None)


def _newest(raw: Table, file: LiveFile, without: frozenset[str]) -> list[int]:
    """The newest ingest time of a file's rows that came from files; nothing where none did."""
    newest = []
    for rows in rows_of(file, raw.io, raw.schema(), ("source", "ingest_time")):
        sources = rows["source"].to_pylist()
        ingest_ms = integers(rows, "ingest_time") // 1000
        counts = np.array([not s.startswith(SOURCE_PREFIX) and s not in without for s in sources])
        newest += [int(ingest_ms[counts].max())] if counts.any() else []
    return newest
