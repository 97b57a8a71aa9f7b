"""Rows of files that do not count, into the table of rejected rows, with how they looked.

They are written while a file is judged, a few thousand at a time, and committed at once, replacing
what an earlier run left of the same files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.files.identify import SourceFile
from batch.lake import partitions, snapshots, tables
from batch.lake.arrow_columns import micros
from batch.lake.columns import REJECTED_COLUMNS, arrow_schema
from batch.lake.conflict import retried
from batch.lake.data_file_writer import Files, Target
from batch.lake.data_files import live_files
from batch.lake.guarded_commit import commit, discard
from batch.mapping.judge import Judged
from impressions.core.event import Reason
from impressions.settings.model import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile

_HELD_BYTES = 16 << 20


class Rejects:
    """Data files of the rows that one piece of a file rejects; without a target, none."""

    def __init__(self, file: SourceFile, target: Target | None):
        self._file, self._held, self._size = file, list["pa.Table"](), 0
        self._files = Files(target, {"source": file.source}) if target else None

    def add(self, judged: Judged) -> None:
        which = np.flatnonzero(judged.reason != Reason.OK)
        if self._files is None or not len(which):
            return
        rows = _rows(judged, which, self._file)
        self._held.append(rows)
        self._size += rows.nbytes
        if self._size >= _HELD_BYTES:
            self._write()

    def close(self) -> list[DataFile]:
        self._write()
        return self._files.close() if self._files else []

    def _write(self) -> None:
        import pyarrow as pa

        if self._files and self._held:
            self._files.write(pa.concat_tables(self._held))
        self._held, self._size = [], 0


def replace(
    settings: Settings,
    expected: Mapping[str, int],
    sources: Collection[str],
    files: Sequence[DataFile],
    run_id: str,
) -> int | None:
    """Makes the table hold what these files reject now, instead of what an earlier run left.

    Args:
        expected: source -> rows it rejects.   sources: of all files of this import.
        files: data files with those rows.

    Returns:
        The new snapshot; None where the table holds that already.
    """

    def attempt() -> int | None:
        table = tables.require(settings, tables.REJECTED, hint="impressions land")
        standing = live_files(
            table, snapshots.main_id(table), lambda partition: partition["source"] in sources
        )
        held = dict.fromkeys(sources, 0)
        for file in standing:
            held[file.partition["source"]] += file.data.record_count
        changed = {source for source in sources if held[source] != expected.get(source, 0)}
        if not changed:
            discard(table, files)
            return None
        added = [file for file in files if file.partition[0] in changed]
        removed = [file.data for file in standing if file.partition["source"] in changed]
        said = snapshots.properties(snapshots.LAND, run_id)
        snapshot_id = commit(table, added, said, removed)
        discard(table, [file for file in files if file.partition[0] not in changed])
        return snapshot_id

    return retried(attempt)


def _rows(judged: Judged, which: NDArray[np.intp], file: SourceFile) -> pa.Table:
    import pyarrow as pa

    n = len(which)
    slots = micros(partitions.history_start_ms(judged.ingest_ms[which]))
    columns = {
        "source": [file.source] * n,
        "file": [file.name] * n,
        "row_number": judged.row_number[which],
        "reason": [Reason(code).label for code in judged.reason[which].tolist()],
        "ingest_slot": pa.array(slots, mask=~judged.has_ingest[which]),
        "row": judged.shown(which),
        "device_type": judged.device_type.take(pa.array(which)),
        "app_version": judged.app_version.take(pa.array(which)),
    }
    schema = arrow_schema(REJECTED_COLUMNS)
    arrays = [pa.array(columns[name]).cast(schema.field(name).type) for name in columns]
    return pa.table(arrays, names=list(columns))
