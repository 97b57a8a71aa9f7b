"""One place of raw, a slot or some of its shards: read, duplicates decided, sorted, written.

A slot is one place, and one file, as long as its bytes fit into the size that `close.file_mb` says;
a larger one is as many places as it needs files, each with the same number of shards.

What is too large for memory is done in ranges of shards and profiles, one after the other: a flush
belongs to one profile, and the order of the files is that of shards and profiles, so ranges change
no answer and no byte order. Row groups are sorted too: each range reads little more than its own.

Rows whose event day lies days before their ingest go into files of their own: one straggler a file
would make the bounds of event times useless, by which the weekly job finds old days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.closing.duplicates import Earlier, Flushes, repeated
from batch.lake import partitions
from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import Keys, rows_of
from batch.lake.data_file_writer import Files, Target
from batch.lake.data_files import ALL_SHARDS, LiveFile, Shards
from batch.lake.guarded_commit import discard
from batch.lake.key_ranges import cut
from batch.lake.sort_order import KEYS, in_order, sort_order
from batch.lake.tables import RAW_COLUMNS, arrow_schema
from batch.quality import raw_rows
from batch.quality.counts import Counts, added, count
from impressions.core.decay import Int
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

LATE_DAYS = 7
ROW_BYTES = 400
"""Memory that closing takes for a row: itself twice, and the keys of sorting and comparing."""

NEW = "_new"
"""A column beside those of raw: whether an import brings the row."""

SAMPLED_EVERY = 64

NEW_ROW_BYTES = 20
"""What a row that an import brings adds to the bytes of files, about."""

Place = tuple[int, Shards]
"""(slot start in ms, the shards)."""

Sampled = tuple[Int, Int]
"""(n,) shards and (n,) profiles of some rows."""

Inputs = tuple[Place, frozenset[tuple[str, tuple[str, ...]]]]


@dataclass(frozen=True)
class Layout:
    """How slots are written.

    Attributes:
        partitions: P.   file_bytes: of a file, about.   memory_bytes: of a task.
    """

    partitions: int
    file_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class Task:
    """What to bring into closed form; travels to Spark's executors.

    Attributes:
        files: that may have rows of the place.
        before: slots whose flushes decide about its own.   earlier: their files.
        file_bytes: of a file, about; one that becomes twice as large is followed by another.
        without: rows of these sources are left out, as if they had never come.
        new_rows: that an import brings beside those of the files (importing/merging.py).
    """

    place: Place
    files: tuple[LiveFile, ...]
    before: tuple[int, ...]
    earlier: tuple[LiveFile, ...]
    target: Target
    slot_ms: int
    memory_bytes: int
    file_bytes: int
    without: frozenset[str] = frozenset()
    new_rows: int = 0

    @property
    def inputs(self) -> Inputs:
        """Equal for two tasks that would write the same rows."""
        return self.place, frozenset(file.identity for file in (*self.files, *self.earlier))

    @property
    def rows(self) -> int:
        """At most: a file may hold rows of other places too."""
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

    rows: Callable[[Keys], pa.Table]
    earlier: Callable[[Keys], Earlier]


def files_of(closed: Iterable[Closed]) -> list[DataFile]:
    """The files that were written."""
    return [file for one in closed for file in one.files]


Write = Callable[[list[Task]], list[Closed]]


@dataclass
class Attempts:
    """What was written for places, over several attempts of one commit: a place whose files are
    still the same keeps it."""

    done: dict[Inputs, Closed] = field(default_factory=dict)

    def closed(self, table: Table | None, tasks: Sequence[Task], write: Write) -> list[Closed]:
        """What is written for each task; what an earlier attempt wrote for nothing is deleted."""
        now = {task.inputs: task for task in tasks}
        discard(table, files_of(self.done.pop(old) for old in self.done.keys() - now.keys()))
        new = [task for inputs, task in now.items() if inputs not in self.done]
        self.done |= {task.inputs: one for task, one in zip(new, write(new), strict=True)}
        return [self.done[task.inputs] for task in tasks]


def tasks_of(
    slot: int,
    files: Mapping[int, Sequence[LiveFile]],
    target: Target,
    spec: Spec,
    layout: Layout,
    without: frozenset[str] = frozenset(),
    new_rows: Callable[[Shards], int] = lambda shards: 0,
) -> list[Task]:
    """The places of a slot.

    Args:
        files: by slot: of this one and of those before it, as far as there are any.
        new_rows: how many an import brings, of some shards.
    """
    mine, before = files.get(slot, ()), tuple(sorted(partitions.before({slot}, spec)))
    earlier = [file for at in before for file in files.get(at, ())]
    size_bytes = sum(file.data.file_size_in_bytes for file in mine)
    size_bytes += NEW_ROW_BYTES * new_rows(ALL_SHARDS)
    return [
        Task(
            (slot, shards),
            tuple(file for file in mine if file.may_hold(shards)),
            before,
            tuple(file for file in earlier if file.may_hold(shards)),
            target,
            spec.slot_ms,
            layout.memory_bytes,
            layout.file_bytes,
            without,
            new_rows(shards),
        )
        for shards in shares(layout.partitions, math.ceil(size_bytes / layout.file_bytes))
    ]


def shares(shards: int, parts: int) -> list[Shards]:
    """All shards in so many ranges of about the same number, or as many as there are shards; the
    last has no end, so that no row is left out for its shard."""
    edges = np.linspace(0, shards, min(max(parts, 1), shards) + 1).astype(int).tolist()
    return list(pairwise([*edges[:-1], ALL_SHARDS[1]]))


def close(task: Task) -> Closed:
    """Reads the place and writes it again."""
    sources = Sources(
        lambda keys: standing_rows(task, keys),
        lambda keys: earlier_flushes(task, keys),
    )
    ranges = ranges_of(task.place[1], task.rows, task.memory_bytes, lambda: sampled(task))
    return write_closed(task, sources, ranges)


def write_closed(
    task: Task,
    sources: Sources,
    ranges: Sequence[Keys],
    *,
    writes: bool = True,
    counted: bool = True,
) -> Closed:
    """Rows from wherever they come, brought into closed form.

    Args:
        writes: False: only numbers.
        counted: with counts for the quality of the day.
    """
    slot, slot_ms = task.place[0], task.slot_ms
    partition = {"ingest_slot": slot * 1000}
    recent, late = (
        Files(task.target, partition, 2 * task.file_bytes) if writes else None for _ in range(2)
    )
    total = duplicates = new = new_duplicates = 0
    counts: list[Counts] = []
    for keys in ranges:
        rows = sources.rows(keys)
        flags = decided(rows, sources.earlier(keys), slot_ms)
        total, duplicates = total + len(flags), duplicates + int(flags.sum())
        if NEW in rows.column_names:
            is_new = rows[NEW].to_numpy(zero_copy_only=False)
            new, new_duplicates = new + int(is_new.sum()), new_duplicates + int(flags[is_new].sum())
        if recent and late:
            rows, is_late = _in_order(rows, flags, slot)
            _write_both(rows, is_late, recent, late)
            if counted:
                counts.append(count(raw_rows.rows_of(rows), slot_ms * 1000))
    files = (*recent.close(), *late.close()) if recent and late else ()
    summed = added(counts) if recent and counted else None
    return Closed(task.place, files, total, duplicates, new, new_duplicates, summed)


def standing_rows(task: Task, keys: Keys) -> pa.Table:
    """The rows of the place's files."""
    import pyarrow as pa

    pieces = [
        rows for file in task.files for rows in _rows_of(task, file, tuple(RAW_COLUMNS), keys)
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


def earlier_flushes(task: Task, keys: Keys) -> Earlier:
    """Flushes of the slots before, as far as they may decide about this place."""
    columns = ("profile_id", "log_id", "ingest_time", *(("source",) if task.without else ()))
    return joined(
        [
            earlier_of(rows, task.place[0], task.slot_ms)
            for file in task.earlier
            for rows in _rows_of(task, file, columns, keys)
        ]
    )


def earlier_of(rows: pa.Table, slot: int, slot_ms: int) -> Earlier:
    """The flushes of some rows of partitions before `slot`, where they may decide about it."""
    rows = rows.filter(rows["log_id"].is_valid())
    number = integers(rows, "ingest_time") // (slot_ms * 1000)
    ids = integers(rows, "profile_id"), integers(rows, "log_id")
    near = number >= slot // slot_ms - 1
    return Earlier(*(of[near] for of in (*ids, number)))


def joined(several: Sequence[Earlier]) -> Earlier:
    """All of them as one."""
    none = np.zeros(0, np.int64)
    columns = ("profile_id", "log_id", "slot_number")
    return Earlier(*(np.concatenate([none, *(getattr(e, c) for e in several)]) for c in columns))


def _rows_of(task: Task, file: LiveFile, columns: Sequence[str], keys: Keys) -> Iterator[pa.Table]:
    """Those of a file that the task does not leave out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left_out = pa.array(sorted(task.without), pa.string())
    for rows in rows_of(file, task.target.io, task.target.metadata.schema(), columns, keys):
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
    order = sort_order(*(integers(rows, name) for name in KEYS))
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


def sampled(task: Task) -> Iterator[Sampled]:
    """Of some rows of the place."""
    return sampled_of(task.files, task.target, task.place[1])


def sampled_of(files: Iterable[LiveFile], target: Target, shards: Shards) -> Iterator[Sampled]:
    """Of some rows of files."""
    columns, schema = ("shard", "profile_id"), target.metadata.schema()
    for file in files:
        for rows in rows_of(file, target.io, schema, columns, Keys(shards)):
            shard, profile = (integers(rows, name)[::SAMPLED_EVERY] for name in columns)
            yield shard, profile
