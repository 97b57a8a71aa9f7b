"""One place of raw, a slot or some of its shards: read, duplicates decided, sorted, written.

Which files it reads and how large it is its task says (tasks.py); what is too large for memory is
done range by range (ranges.py).

Rows whose event day lies days before their ingest go into files of their own: one straggler a file
would make the bounds of event times useless, by which the weekly job finds old days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.closing.duplicates import Earlier, Flushes, repeated
from batch.closing.ranges import Sampled, ranges_of, sampled_of
from batch.closing.tasks import Closed, Task
from batch.lake.arrow_columns import integers
from batch.lake.columns import RAW_COLUMNS, arrow_schema
from batch.lake.data_file_rows import Keys, rows_of
from batch.lake.data_file_writer import Files
from batch.lake.data_files import LiveFile
from batch.lake.sort_order import KEYS, in_order, sort_order
from batch.quality import raw_rows
from batch.quality.counts import Counts, added, count
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    import pyarrow as pa

LATE_DAYS = 7
NEW = "_new"
"""A column beside those of raw: whether an import brings the row."""


@dataclass(frozen=True)
class Sources:
    """Where the rows of a place come from, in a range of profiles.

    Attributes:
        rows: as columns of raw, and maybe NEW; `duplicate` is not looked at.
        earlier: flushes of the places before.
    """

    rows: Callable[[Keys], pa.Table]
    earlier: Callable[[Keys], Earlier]


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


def sampled(task: Task) -> Iterator[Sampled]:
    """Of some rows of the place."""
    return sampled_of(task.files, task.target, task.place[1])
