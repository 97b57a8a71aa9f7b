"""Which files raw or rejected holds rows of already, mostly from metadata.

Each data file says the smallest and the largest `source` in it, uncut (lake/tables.py). Where the
two are equal the file's rows all come from that source, so its record count is the answer; only
files that mix sources around one of ours are read. A year of history is thousands of files, and
asking again must not open them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from batch.lake import snapshots
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import LiveFile, live_files, source_bounds

if TYPE_CHECKING:
    from pyiceberg.table import Table


def rows_by_source(table: Table | None, sources: Iterable[str]) -> dict[str, int]:
    """Source -> rows that the table holds, for those of `sources` it holds any of."""
    total: Counter[str] = Counter()
    for _, counts in files_with(table, set(sources)):
        total.update(counts)
    return dict(total)


def files_with(table: Table | None, sources: set[str]) -> Iterator[tuple[LiveFile, Counter[str]]]:
    """Files that hold rows of any of these sources, with how many of each."""
    if table is None or not sources:
        return
    for file in live_files(table, snapshots.main_id(table)):
        low, high = source_bounds(table, file)
        if low is not None and low == high and not file.deletes:
            counts = Counter({low: file.data.record_count} if low in sources else {})
        elif low is None or any(low <= source <= high for source in sources):
            counts = _counted(table, file, sources)
        else:
            continue
        if counts:
            yield file, counts


def _counted(table: Table, file: LiveFile, sources: set[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for rows in rows_of(file, table.io, table.schema(), ("source",)):
        for pair in rows["source"].value_counts().to_pylist():
            counts[pair["values"]] += pair["counts"]
    return Counter({source: n for source, n in counts.items() if source in sources})
