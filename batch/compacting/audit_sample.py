"""An independent recomputation: some profiles, from raw, in numpy instead of the compiled form.

Both sides are read again from their files, and only the row groups that may hold the profiles: one
range of profiles of each sampled shard, at a place that a hash of cutover and shard chooses. The
same for a re-run, others next week. One shard is sampled for every half a million rows of raw, so
that opening the files of a small year is no second pass over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.compacting.audits import Sample
from batch.compacting.job import Compacting
from batch.compacting.plain_sums import plain_sums
from batch.compacting.planning import by_shard
from batch.compacting.raw_rows import columns_of_raw, impressions_of
from batch.compacting.window import Window
from batch.jobs.same_spec import SpecOf
from batch.lake.data_file_rows import Profiles
from batch.lake.data_files import LiveFile
from batch.lake.ema_columns import (
    NOT_TAIL,
    Columns,
    column_names,
    columns_of,
    keys_of,
    numbers_of,
)
from batch.lake.opened_files import Opened, open_parquet
from batch.lake.profile_merge import complete_profiles_of, naming
from impressions.core.decay import Float, Int
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import ITEM_LOCATION_BITS, Spec

if TYPE_CHECKING:
    from pyiceberg.table import Table

_SHOWN = 10
_LEAST_SHARDS, _ROWS_A_SHARD = 8, 500_000
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True)
class Range:
    """What to compare in a shard; travels to Spark's executors.

    Attributes:
        shard: of the range.   raw, ema: paths of files.
        chosen: a number that says where the range lies.
        profiles, events: how many, at most; one profile may have more events.
    """

    shard: int
    raw: tuple[str, ...]
    ema: tuple[str, ...]
    storage: Mapping[str, str]
    cutover_ms: int
    spec: SpecOf
    chosen: int
    profiles: int
    events: int
    sum_tolerance: float


def recompute(job: Compacting, window: Window, ema: Table, files: Sequence[LiveFile]) -> Sample:
    """Compare the sampled profiles' rows of the audit branch with a recomputation.

    Args:
        files: of the audit branch.
    """
    ranges = ranges_of(job, window, ema, files)
    most = -(-len(ranges) // job.runner.width) or 1  # neighbours: they share row groups
    tasks = [ranges[at : at + most] for at in range(0, len(ranges), most)]
    samples: list[list[Sample]] = job.runner.run(f"sample {job.name}", compare_all, tasks)
    every = [sample for of_task in samples for sample in of_task]
    return Sample(
        sum(sample.profiles for sample in every),
        tuple(words for sample in every for words in sample.differences)[:_SHOWN],
    )


def ranges_of(
    job: Compacting, window: Window, ema: Table, files: Sequence[LiveFile]
) -> list[Range]:
    """The ranges of this cutover, of shards with rows on both sides."""
    if not job.limits.sample_profiles:
        return []
    raw, made = by_shard(window.files, job.settings.partitions), dict[int, list[str]]()
    for file in files:
        made.setdefault(file.partition["shard"], []).append(file.path)
    most = max(_LEAST_SHARDS, window.rows // _ROWS_A_SHARD)
    shards = sorted(made.keys() & raw.keys(), key=lambda s: _hash(job.cutover_ms, s))[:most]
    return [
        Range(
            shard=shard,
            raw=tuple(file.path for file in raw[shard]),
            ema=tuple(sorted(made[shard])),
            storage=dict(ema.io.properties),
            cutover_ms=job.cutover_ms,
            spec=SpecOf.of(job.spec),
            chosen=_hash(job.cutover_ms, shard),
            profiles=-(-job.limits.sample_profiles // len(shards)),
            events=-(-job.limits.sample_events // len(shards)),
            sum_tolerance=job.limits.sum_tolerance,
        )
        for shard in sorted(shards)
    ]


def compare_all(tasks: Sequence[Range]) -> list[Sample]:
    """Ranges of ascending shards, whose files are opened once."""
    opened = Opened(tasks[0].storage, columns_of_raw(tasks[0].spec.known()), _KEPT_BYTES)
    return [compare(task, opened) for task in tasks]


def compare(task: Range, opened: Opened | None = None) -> Sample:
    """One range: rows of ema as they were written, and as they follow from raw."""
    spec = task.spec.known()
    count = 0
    try:
        profiles, count = _range(task)
        if not count:
            return Sample(0, ())
        read = complete_profiles_of(task.ema, column_names(spec), task.storage, profiles=profiles)
        found = [columns_of(piece, spec) for piece in read]
    except CorruptData as error:
        return Sample(count, (error.message,))
    events = complete_profiles_of(
        task.raw, columns_of_raw(spec), task.storage, profiles=profiles, shard=task.shard,
        opened=opened,
    )  # fmt: skip
    expected = [plain_sums(impressions_of(e, spec), task.cutover_ms, spec) for e in events]
    return Sample(count, tuple(differences(found, expected, spec, task.sum_tolerance)))


def _range(task: Range) -> tuple[Profiles, int]:
    """The profiles of a row group, from a place in it on; and how many they are."""
    groups = []
    for path in task.ema:
        with naming(path):
            file = open_parquet(path, task.storage)
            groups += [(path, file, group) for group in range(file.num_row_groups)]
    path, file, group = groups[task.chosen % len(groups)]
    with naming(path):
        rows = file.read_row_group(group, columns=["profile_id", "impressions"], use_threads=False)
    if rows["profile_id"].null_count or rows["impressions"].null_count or not rows.num_rows:
        return (0, 0), 0
    profiles, starts = np.unique(rows["profile_id"].to_numpy(), return_index=True)
    events = np.add.reduceat(rows["impressions"].to_numpy(), starts)
    begin = (task.chosen // len(groups)) % max(1, len(profiles) - task.profiles + 1)
    within = np.cumsum(events[begin : begin + task.profiles]) <= task.events
    count = max(1, int(within.sum()))
    return (int(profiles[begin]), int(profiles[begin + count - 1]) + 1), count


def differences(
    found: Sequence[Columns], expected: Sequence[Columns], spec: Spec, tolerance: float
) -> list[str]:
    """The first differences, in words; empty when the rows are the same."""
    keys, wanted = keys_of(found), keys_of(expected)
    if not np.array_equal(keys, wanted):
        there, due = _tuples(keys), _tuples(wanted)
        words = [f"{_words(key)}: not in raw" for key in sorted(there - due)]
        words += [f"{_words(key)}: missing" for key in sorted(due - there)]
        return words[:_SHOWN] or ["rows repeated, or out of order"]
    got, want = numbers_of(found, spec), numbers_of(expected, spec)
    names = ("last_seen", *spec.measure_names, *spec.decayed_names)
    relative = [0.0, *(0.0 if m.integral else tolerance for m in spec.measures)]
    relative += [tolerance] * len(spec.decayed_names)
    out = []
    for name, one, other, limit in zip(names, got, want, relative, strict=True):
        for i in np.flatnonzero(_apart(one, other, limit))[:_SHOWN].tolist():
            out.append(f"{_words(keys[:, i])} {name}: {one[i]!r}, recomputed {other[i]!r}")
    return out[:_SHOWN]


def _apart(one: Float, other: Float, relative: float) -> NDArray[np.bool_]:
    """Where they are neither equal nor as near as that; nothing is near infinity or NaN."""
    with np.errstate(invalid="ignore"):
        is_near = (np.abs(one - other) <= relative * np.abs(other)) & np.isfinite(other)
    return np.asarray(~is_near & (one != other), np.bool_)


def _tuples(keys: Int) -> set[tuple[int, int, int]]:
    return set(zip(*keys.tolist(), strict=True))


def _words(key: Sequence[int] | Int) -> str:
    profile, of, day = key
    where = f"profile {profile} title {of >> ITEM_LOCATION_BITS} location {of & MAX_LOCATION}"
    return where if day == NOT_TAIL else f"{where} tail day {day}"


def _hash(cutover_ms: int, shard: int) -> int:
    digest = hashlib.sha256(f"{cutover_ms} {shard}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
