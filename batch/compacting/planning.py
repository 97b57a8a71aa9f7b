"""Which parts a generation is computed in: a task for each shard, and several for a large one.

A shard of much more rows than others is cut into ranges of profiles with about as many rows each.
Files are sorted by profile, so a task reads the row groups that may hold its range. The ranges
decide nothing about the result: profiles are whole, and a profile's rows are added in one order.
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
from batch.lake.data_file_rows import ALL_PROFILES, Profiles, opened, read_group, split
from batch.lake.data_file_writer import target_of
from batch.lake.data_files import LiveFile
from impressions.core.decay import Int

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

    from batch.compacting.incremental.forms import Form

LEAST_ROWS = 1_000_000
"""Fewer are not worth a task of their own."""

_MEDIANS = 2
_TASKS_A_CORE = 2
_SAMPLED_GROUPS = 16


def parts_of(
    job: Compacting,
    window: Window,
    raw: Table,
    ema: Table,
    packing: Packing | None,
    forms: Mapping[int, Form],
) -> list[Part]:
    """The parts of the shards in `forms`, the largest first."""
    files = {shard: of for shard, of in by_shard(window.files).items() if shard in forms}
    rows = {shard: forms[shard].rows for shard in files}
    most = most_rows(list(rows.values()), job.runner.width)
    target, storage = target_of(ema), dict(raw.io.properties)
    parts = [
        (
            -rows[shard] // len(ranges),
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
                packing=packing,
                base=forms[shard].base,
                both=forms[shard].both,
            ),
        )
        for shard, of in files.items()
        for ranges in [ranges_of(of, math.ceil(rows[shard] / most), raw.io)]
        for profiles in ranges
    ]
    return [part for _, part in sorted(parts, key=lambda part: (part[0], part[1].shard))]


def by_shard(files: Sequence[LiveFile]) -> dict[int, list[LiveFile]]:
    """The files of each shard, in the order given."""
    found: dict[int, list[LiveFile]] = {}
    for file in files:
        found.setdefault(file.place[1], []).append(file)
    return found


def most_rows(rows_of_shards: Sequence[int], width: int) -> int:
    """Rows of a part, at most: twice the median shard's, and fewer where tasks are too few."""
    if not rows_of_shards:
        return LEAST_ROWS
    of_median = _MEDIANS * statistics.median(rows_of_shards)
    of_core = sum(rows_of_shards) / (_TASKS_A_CORE * width)
    return max(LEAST_ROWS, math.ceil(min(of_median, of_core)))


def ranges_of(files: Sequence[LiveFile], parts: int, io: FileIO) -> list[Profiles]:
    """Ranges of profiles with about the same number of rows."""
    if parts <= 1:
        return [ALL_PROFILES]
    return split(np.concatenate([np.zeros(0, np.int64), *_sampled(files, io)]), parts)


def _sampled(files: Sequence[LiveFile], io: FileIO) -> Iterator[Int]:
    """Profiles of some row groups of files evenly far apart: slots of a year are alike."""
    large = sorted(files, key=lambda file: file.data.record_count)[len(files) // 2 :]
    for file in large[:: max(1, len(large) // _SAMPLED_GROUPS)]:
        with opened(file.path, io) as parquet:
            for group in range(parquet.num_row_groups):
                rows = read_group(parquet, file.path, group, ["profile_id"])
                yield rows["profile_id"].to_numpy()[::16]
