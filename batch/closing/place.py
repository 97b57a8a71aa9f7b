"""One (slot, shard) of raw: its rows read, duplicates decided, sorted, written.

What is too large for memory is done in ranges of profiles, one after the other: a flush belongs to
one profile, and the order of the files is that of profiles, so ranges change no answer and no byte
order. Row groups are sorted too, so each range reads little more than its own.

Rows whose event day lies days before their ingest go into files of their own: one straggler a file
would make the bounds of event times useless, by which the weekly job finds old days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.closing.duplicates import Earlier, Flushes, repeated
from batch.lake import partitions
from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import ALL_PROFILES, Profiles, opened, rows_of, split
from batch.lake.data_file_writer import Files, Target
from batch.lake.data_files import LiveFile, Place
from batch.lake.sort_order import in_order, sort_order
from batch.lake.tables import RAW_COLUMNS, arrow_schema
from batch.quality import raw_rows
from batch.quality.counts import Counts, added, count
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile

    from impressions.core.decay import Int

LATE_DAYS = 7
ROW_BYTES = 400
"""Memory that closing takes for a row: itself twice, and the keys of sorting and comparing."""

NEW = "_new"
"""A column beside those of raw: whether an import brings the row."""

SAMPLED_EVERY = 64

Inputs = tuple[Place, frozenset[tuple[str, tuple[str, ...]]]]


@dataclass(frozen=True)
class Task:
    """What to bring into closed form; travels to Spark's executors.

    Attributes:
        files: all of the place.
        before: places whose flushes decide about its own.   earlier: their files.
        without: rows of these sources are left out, as if they had never come.
        new_rows: that an import brings beside those of the files (importing/merging.py).
    """

    place: Place
    files: tuple[LiveFile, ...]
    before: tuple[Place, ...]
    earlier: tuple[LiveFile, ...]
    target: Target
    slot_ms: int
    memory_bytes: int
    without: frozenset[str] = frozenset()
    new_rows: int = 0

    @property
    def inputs(self) -> Inputs:
        """Equal for two tasks that would write the same rows."""
        return self.place, frozenset(file.identity for file in (*self.files, *self.earlier))

    @property
    def rows(self) -> int:
        return sum(file.data.record_count for file in self.files) + self.new_rows


@dataclass(frozen=True)
class Closed:
    """What became of a place: files that are written, not committed.

    Attributes:
        rows, duplicates: of all.   new, new_duplicates: of those an import brings.
        counts: for the quality of the day; None where they were not asked for.
    """

    place: Place
    files: tuple[DataFile, ...]
    rows: int
    duplicates: int
    new: int = 0
    new_duplicates: int = 0
    counts: Counts | None = None


@dataclass(frozen=True)
class Sources:
    """Where the rows of a place come from, in a range of profiles.

    Attributes:
        rows: as columns of raw, and maybe NEW; `duplicate` is not looked at.
        earlier: flushes of the places before.
    """

    rows: Callable[[Profiles], pa.Table]
    earlier: Callable[[Profiles], Earlier]


def files_of(closed: Iterable[Closed]) -> list[DataFile]:
    """The files that were written."""
    return [file for one in closed for file in one.files]


def task_of(
    place: Place,
    files: Mapping[Place, Sequence[LiveFile]],
    target: Target,
    spec: Spec,
    memory_bytes: int,
    without: frozenset[str] = frozenset(),
    new_rows: int = 0,
) -> Task:
    """`files`: of this place and of those before it, as far as there are any."""
    slot, shard = place
    before = tuple((start, shard) for start in sorted(partitions.before({slot}, spec)))
    earlier = tuple(file for at in before for file in files.get(at, ()))
    mine = tuple(files.get(place, ()))
    return Task(
        place, mine, before, earlier, target, spec.slot_ms, memory_bytes, without, new_rows
    )  # fmt: skip


def close(task: Task) -> Closed:
    """Reads the place and writes it again."""
    sources = Sources(
        lambda profiles: standing_rows(task, profiles),
        lambda profiles: earlier_flushes(task, profiles),
    )
    ranges = ranges_of(task.rows, task.memory_bytes, lambda: sampled(task))
    return write_closed(task.place, task.slot_ms, sources, ranges, task.target)


def write_closed(
    place: Place,
    slot_ms: int,
    sources: Sources,
    ranges: Sequence[Profiles],
    target: Target | None,
    counted: bool = True,
) -> Closed:
    """Rows from wherever they come, brought into closed form; without a target only counted.

    `counted`: with counts for the quality of the day.
    """
    partition = {"ingest_slot": place[0] * 1000, "shard": place[1]}
    recent, late = (Files(target, partition) if target else None for _ in range(2))
    total = duplicates = new = new_duplicates = 0
    counts: list[Counts] = []
    for profiles in ranges:
        rows = sources.rows(profiles)
        flags = decided(rows, sources.earlier(profiles), slot_ms)
        total, duplicates = total + len(flags), duplicates + int(flags.sum())
        if NEW in rows.column_names:
            is_new = rows[NEW].to_numpy(zero_copy_only=False)
            new, new_duplicates = new + int(is_new.sum()), new_duplicates + int(flags[is_new].sum())
        if recent and late:
            rows, is_late = _in_order(rows, flags, place[0])
            _write_both(rows, is_late, recent, late)
            if counted:
                counts.append(count(raw_rows.rows_of(rows), slot_ms * 1000))
    files = (*recent.close(), *late.close()) if recent and late else ()
    summed = added(counts) if recent and counted else None
    return Closed(place, files, total, duplicates, new, new_duplicates, summed)


def standing_rows(task: Task, profiles: Profiles) -> pa.Table:
    """The rows of the place's files."""
    import pyarrow as pa

    pieces = [
        rows for file in task.files for rows in _rows_of(task, file, tuple(RAW_COLUMNS), profiles)
    ]
    if not pieces:
        return arrow_schema(RAW_COLUMNS).empty_table()
    return pa.concat_tables(pieces, promote_options="permissive").unify_dictionaries()


def decided(rows: pa.Table, earlier: Earlier, slot_ms: int) -> NDArray[np.bool_]:
    """(n,) whether each row is a duplicate; see duplicates.py."""
    known = ~rows["log_id"].is_null().to_numpy()
    flags = np.zeros(rows.num_rows, np.bool_)
    if known.any():
        import pyarrow as pa

        some = rows if known.all() else rows.filter(pa.array(known))
        flags[known] = repeated(flushes_of(some, slot_ms), earlier)
    return flags


def flushes_of(rows: pa.Table, slot_ms: int) -> Flushes:
    """The device flushes of rows of raw that have one."""
    ingest_us = integers(rows, "ingest_time")
    return Flushes(
        profile_id=integers(rows, "profile_id"),
        log_id=integers(rows, "log_id"),
        slot_number=ingest_us // (slot_ms * 1000),
        ingest_us=ingest_us,
        log_offset=integers(rows, "log_offset"),
        log_index=integers(rows, "log_index"),
    )


def earlier_flushes(task: Task, profiles: Profiles) -> Earlier:
    """Flushes of the places before, in slots that may decide about this place."""
    columns = ("profile_id", "log_id", "ingest_time", *(("source",) if task.without else ()))
    return joined(
        [
            earlier_of(rows, task.place, task.slot_ms)
            for file in task.earlier
            for rows in _rows_of(task, file, columns, profiles)
        ]
    )


def earlier_of(rows: pa.Table, place: Place, slot_ms: int) -> Earlier:
    """The flushes of some rows of places before `place`, where they may decide about it."""
    rows = rows.filter(rows["log_id"].is_valid())
    slot = integers(rows, "ingest_time") // (slot_ms * 1000)
    near = slot >= place[0] // slot_ms - 1
    return Earlier(integers(rows, "profile_id")[near], integers(rows, "log_id")[near], slot[near])


def joined(several: Sequence[Earlier]) -> Earlier:
    """All of them as one."""
    none = np.zeros(0, np.int64)
    columns = ("profile_id", "log_id", "slot_number")
    return Earlier(*(np.concatenate([none, *(getattr(e, c) for e in several)]) for c in columns))


def _rows_of(
    task: Task, file: LiveFile, columns: Sequence[str], profiles: Profiles
) -> Iterator[pa.Table]:
    """Those of a file that the task does not leave out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left_out = pa.array(sorted(task.without), pa.string())
    for rows in rows_of(file, task.target.io, task.target.metadata.schema(), columns, profiles):
        if task.without:
            is_out = pc.is_in(rows["source"].cast(pa.string()), value_set=left_out)
            rows = rows.filter(pc.invert(is_out))
        yield rows


def _in_order(
    rows: pa.Table, flags: NDArray[np.bool_], slot: int
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Rows sorted, with their flags; and which of them are late."""
    import pyarrow as pa

    event_us = integers(rows, "event_time")
    order = sort_order(integers(rows, "profile_id"), integers(rows, "title_id"), event_us)
    at = rows.column_names.index("duplicate")
    rows = in_order(rows.set_column(at, "duplicate", pa.array(flags)), order)
    oldest_us = (slot // DAY_MS - LATE_DAYS) * DAY_MS * 1000
    return rows, event_us[order] < oldest_us


def _write_both(rows: pa.Table, is_late: NDArray[np.bool_], recent: Files, late: Files) -> None:
    import pyarrow as pa

    if not is_late.any():
        recent.write(rows)
        return
    recent.write(rows.filter(pa.array(~is_late)))
    late.write(rows.filter(pa.array(is_late)))


def ranges_of(rows: int, memory_bytes: int, sampled: Callable[[], Iterable[Int]]) -> list[Profiles]:
    """Ranges of profiles with about as many rows as fit into memory.

    Args:
        sampled: gives profiles of some of the rows; asked only where one range is not enough.
    """
    parts = math.ceil(rows * ROW_BYTES / memory_bytes)
    if parts <= 1:
        return [ALL_PROFILES]
    return split(np.concatenate([np.zeros(0, np.int64), *sampled()]), parts)


def sampled(task: Task) -> Iterator[Int]:
    """Profiles of some rows of the place's files."""
    yield from sampled_of(task.files, task.target.io)


def sampled_of(files: Iterable[LiveFile], io: FileIO) -> Iterator[Int]:
    """Profiles of some rows of files."""
    for file in files:
        with opened(file.path, io) as parquet:
            for number in range(parquet.num_row_groups):
                column = parquet.read_row_group(number, columns=["profile_id"], use_threads=False)
                yield column["profile_id"].to_numpy()[::SAMPLED_EVERY]
