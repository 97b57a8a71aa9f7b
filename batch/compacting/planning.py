"""Which parts a generation is computed in: one of each shard, several of a large one; and which of
them share a task.

A shard of much more rows than others is cut into ranges of profiles with about as many rows each.
Files are sorted by shard and profile, so a part reads the row groups that may hold its range. Small
parts share a task, which opens the files of a slot once for all its shards. Parts decide nothing
about the result: profiles are whole, and a profile's rows are added in one order.

How many rows a shard has, a file of that shard says in its metadata; files of several are asked by
a sample of them. That decides how work is shared out, no more.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.compacting.job import Compacting
from batch.compacting.part import Part
from batch.compacting.window import Window
from batch.exporting.sst_files import Packing
from batch.jobs.same_spec import SpecOf
from batch.lake.data_file_rows import (
    ALL_KEYS,
    ALL_PROFILES,
    Keys,
    Profiles,
    may_hold,
    opened,
    read_group,
    split,
    within,
)
from batch.lake.data_file_writer import target_of
from batch.lake.data_files import LiveFile

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

    from batch.compacting.incremental.forms import Form

LEAST_ROWS = 1_000_000
"""Fewer are not worth a task of their own."""

Task = tuple[Part, ...]

_MEDIANS = 2
_TASKS_A_CORE = 2
_SAMPLED_FILES = 16


def parts_of(
    job: Compacting,
    window: Window,
    raw: Table,
    ema: Table,
    packing: Packing | None,
    forms: Mapping[int, Form],
) -> list[Part]:
    """The parts of the shards in `forms`, in the order of shards and profiles."""
    files = {
        shard: of
        for shard, of in by_shard(window.files, job.settings.partitions).items()
        if shard in forms
    }
    rows = {shard: forms[shard].rows for shard in files}
    most = most_rows(list(rows.values()), job.runner.width)
    target, storage = target_of(ema), dict(raw.io.properties)
    return [
        Part(
            shard=shard,
            partitions=job.settings.partitions,
            profiles=profiles,
            paths=tuple(file.path for file in of),
            storage=storage,
            cutover_ms=job.cutover_ms,
            spec=SpecOf.of(job.spec),
            sum_tolerance=job.limits.sum_tolerance,
            memory_bytes=job.task_bytes,
            target=target,
            rows=rows[shard] // len(ranges),
            packing=packing,
            base=forms[shard].base,
            both=forms[shard].both,
        )
        for shard, of in sorted(files.items())
        for ranges in [ranges_of(of, shard, math.ceil(rows[shard] / most), raw.io)]
        for profiles in ranges
    ]


def tasks_of(parts: Sequence[Part], width: int) -> list[Task]:
    """Neighbouring parts together, as few tasks as keep all cores busy; the largest first."""
    most = max(LEAST_ROWS, sum(part.rows for part in parts) // (_TASKS_A_CORE * width))
    found: list[list[Part]] = []
    held = most
    for part in parts:
        if held + part.rows > most:
            found.append([])
            held = 0
        found[-1].append(part)
        held += part.rows
    return [tuple(task) for task in sorted(found, key=lambda t: -sum(part.rows for part in t))]


def by_shard(files: Sequence[LiveFile], partitions: int) -> dict[int, list[LiveFile]]:
    """Shard -> the files that may have rows of it, in the order given."""
    found: dict[int, list[LiveFile]] = {}
    for file in files:
        for shard in range(file.shards[0], min(file.shards[1], partitions)):
            found.setdefault(shard, []).append(file)
    return found


def rows_of_shards(files: Sequence[LiveFile], partitions: int, io: FileIO) -> list[int]:
    """(partitions,) rows of each shard: known of files of one shard, and about of others."""
    rows = np.zeros(partitions)
    several = []
    for file in files:
        if file.shards[1] == file.shards[0] + 1:
            rows[file.shards[0]] += file.data.record_count
        else:
            several.append(file)
    if several:
        counts = np.zeros(partitions)
        for file in _spread(several):
            for of in _groups(file, io, ["shard"]):
                counts += np.bincount(of["shard"].to_numpy(), minlength=partitions)
        rows += counts * (sum(file.data.record_count for file in several) / max(counts.sum(), 1))
    return [math.ceil(of) for of in rows.tolist()]


def most_rows(rows_of_shards: Sequence[int], width: int) -> int:
    """Rows of a part, at most: twice the median shard's, and fewer where tasks are too few."""
    if not rows_of_shards:
        return LEAST_ROWS
    of_median = _MEDIANS * statistics.median(rows_of_shards)
    of_core = sum(rows_of_shards) / (_TASKS_A_CORE * width)
    return max(LEAST_ROWS, math.ceil(min(of_median, of_core)))


def ranges_of(files: Sequence[LiveFile], shard: int, parts: int, io: FileIO) -> list[Profiles]:
    """Ranges of a shard's profiles with about the same number of rows."""
    if parts <= 1:
        return [ALL_PROFILES]
    keys = Keys((shard, shard + 1))
    sampled = [
        within(rows, keys)["profile_id"].to_numpy()[::16]
        for file in _spread(files)
        for rows in _groups(file, io, ["shard", "profile_id"], keys)
    ]
    return split(np.concatenate([np.zeros(0, np.int64), *sampled]), parts)


def _spread(files: Sequence[LiveFile]) -> Sequence[LiveFile]:
    """Large files evenly far apart: slots of a year are alike."""
    large = sorted(files, key=lambda file: file.data.record_count)[len(files) // 2 :]
    return large[:: max(1, len(large) // _SAMPLED_FILES)]


def _groups(
    file: LiveFile, io: FileIO, columns: list[str], keys: Keys = ALL_KEYS
) -> Iterator[pa.Table]:
    with opened(file.path, io) as parquet:
        for group in range(parquet.num_row_groups):
            if may_hold(parquet.metadata.row_group(group), parquet.schema_arrow, keys):
                yield read_group(parquet, file.path, group, columns)
