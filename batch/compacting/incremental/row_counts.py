"""How many rows of each shard are to be read, exactly.

Where all shards are computed from scratch every row of every file is read, and that is checked as
one number. Shards of other forms read some files and not others, so theirs must be known by file
and shard: files of one shard say it in the table's metadata, others are counted
(lake/shard_rows.py). What a file holds must be what the metadata say, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from batch.compacting.incremental.forms import Form
from batch.compacting.job import Compacting
from batch.compacting.planning import by_shard
from batch.compacting.window import Window
from batch.lake.shard_rows import Asked, counted
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    from pyiceberg.table import Table

_FILES_A_TASK = 64


def exactly(
    job: Compacting, window: Window, raw: Table, forms: Mapping[int, Form]
) -> dict[int, Form]:
    """The same forms, with the rows that each must read.

    Raises:
        CorruptData: a file has not the rows that it should have.
    """
    rows = _rows_by_shard(job, window, raw)
    files = by_shard(window.files, job.settings.partitions)

    def of(shard: int, paths: Iterable[str]) -> int:
        return sum(rows[path][shard] for path in paths)

    found = {}
    for shard, form in forms.items():
        scratch = of(shard, (file.path for file in files[shard]))
        found[shard] = replace(form, rows=scratch, scratch_rows=scratch)
        if form.base is not None and not form.both:
            base = form.base
            found[shard] = replace(
                found[shard], rows=base.old_rows + of(shard, (*base.entering, *base.new))
            )
    return found


def _rows_by_shard(job: Compacting, window: Window, raw: Table) -> dict[str, Mapping[int, int]]:
    """Path -> shard -> rows."""
    partitions, storage = job.settings.partitions, dict(raw.io.properties)
    found: dict[str, Mapping[int, int]] = {}
    several = []
    for file in window.files:
        if file.shards[1] - file.shards[0] == 1:
            if not 0 <= file.shards[0] < partitions:
                raise CorruptData(
                    f"{file.path}: shard {file.shards[0]}, expected below {partitions}"
                )
            found[file.path] = {file.shards[0]: file.data.record_count}
        else:
            several.append((file.path, file.data.record_count))
    tasks = [
        Asked(tuple(several[at : at + _FILES_A_TASK]), storage, partitions)
        for at in range(0, len(several), _FILES_A_TASK)
    ]
    for of_task in job.runner.run(f"count {job.name}", counted, tasks):
        found |= {path: dict(enumerate(rows)) for path, rows in of_task}
    return found
