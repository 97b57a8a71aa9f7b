"""Days that lack their rows of `impressions.quality` get them.

Rows that `close` and the import just wrote were counted while they were in memory; days whose
counts are not at hand are read again, only the columns that are counted. Killed between raw's
commit and this one, the next close, or `compact`, finds the day without rows and counts it. Rows
of a day that raw does not have any more (an import was taken back) go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.closing.counting import Counting, count_files
from batch.closing.tasks import Closed
from batch.jobs.context import Context
from batch.lake import snapshots, tables
from batch.lake.data_file_writer import Target, target_of
from batch.lake.data_files import LiveFile
from batch.lake.slot_states import slot_states
from batch.quality import table as quality_table
from batch.quality.counts import Counts, added
from batch.quality.day_rows import DayRow, rows_of_day
from batch.quality.days import Day, closed_days
from batch.quality.rejected_rows import rejected_of
from batch.quality.table import Kept, month_of
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table

TITLE_DAYS = 28
_HEALED_DAYS = 7
_RETENTION_DAYS = 400  # older days may be deleted from raw; what was counted of them stays
Fresh = Mapping[frozenset[str], Counts]
"""Paths of a slot's files -> what was counted while they were written."""


@dataclass(frozen=True)
class Recorded:
    """Days that got rows, and closed ones that lack them still.

    Attributes:
        kept: the table with them.   snapshot_id: of the table; None: nothing was written.
    """

    days: tuple[int, ...]
    lacking: tuple[int, ...]
    kept: Kept
    snapshot_id: int | None = None


def fresh_counts(closed: Iterable[Closed]) -> dict[frozenset[str], Counts]:
    """Of slots that were just written, all of whose places were counted."""
    by_slot: dict[int, list[Closed]] = {}
    for one in closed:
        by_slot.setdefault(one.place[0], []).append(one)
    found = {}
    for places in by_slot.values():
        counts = [one.counts for one in places if one.counts is not None]
        if len(counts) == len(places):
            paths = frozenset(file.file_path for one in places for file in one.files)
            found[paths] = added(counts)
    return found


def record(
    context: Context,
    fresh: Fresh | None = None,
    *,
    until_ms: int | None = None,
    everything: bool = False,
    writes: bool = True,
) -> Recorded:
    """Counts days that lack rows and writes these.

    Args:
        fresh: with it, only days it is of and the last week's are counted.
        until_ms: only days that end by then; None: that raw is valid through.
        everything: all days that lack rows.
        writes: false: the rows are in what is returned only.
    """
    raw = context.table(tables.RAW)
    base = snapshots.state(raw)
    reached_ms = base.valid_through_ms or 0
    days = closed_days(raw, base.snapshot_id, reached_ms if until_ms is None else until_ms)
    kept = _without_gone(context, raw, base, writes=writes)
    lacking = _lacking(days.values(), kept)
    chosen = set(lacking) if everything else _near(lacking, days, fresh or {}, reached_ms)
    snapshot_id = None
    for month in sorted({month_of(day) for day in chosen}):
        some = [days[day] for day in sorted(chosen) if month_of(day) == month]
        rows = _rows(context, some, fresh or {}, kept, target_of(raw))
        if writes:
            snapshot_id = quality_table.replace(context.settings, rows, context.run.id)
        standing = [row for row in kept.rows if row.day not in rows]
        kept = Kept((*standing, *(r for of in rows.values() for r in of)), kept.accepted)
    return Recorded(tuple(sorted(chosen)), tuple(sorted(set(lacking) - chosen)), kept, snapshot_id)


def _without_gone(context: Context, raw: Table, base: snapshots.State, *, writes: bool) -> Kept:
    """The table without days that raw lost; those too old to tell stay."""
    kept = quality_table.read(context.settings)
    there = {slot // DAY_MS for slot in slot_states(raw, base.snapshot_id)}
    kept_days = min(_RETENTION_DAYS, context.settings.housekeeping.keep_raw_days)
    since = (base.valid_through_ms or 0) // DAY_MS - kept_days
    gone = {row.day for row in kept.rows if row.day >= since} - there
    if gone and writes:
        quality_table.replace(context.settings, dict.fromkeys(gone, ()), context.run.id)
    return Kept(tuple(row for row in kept.rows if row.day not in gone), kept.accepted)


def _lacking(days: Iterable[Day], kept: Kept) -> list[int]:
    counted = {row.day: row.files for row in kept.rows if row.segment.is_all}
    return [day.number for day in days if counted.get(day.number) != day.files]


def _near(
    lacking: Collection[int], days: Mapping[int, Day], fresh: Fresh, reached_ms: int
) -> set[int]:
    """Days that were just written, at least in part, and those of the last week."""
    since = reached_ms // DAY_MS - _HEALED_DAYS
    written = {
        day for day in lacking if any(_paths(files) in fresh for files in days[day].slots.values())
    }
    return written | {day for day in lacking if day >= since}


def _rows(
    context: Context, days: Collection[Day], fresh: Fresh, kept: Kept, target: Target
) -> dict[int, list[DayRow]]:
    """Day -> its rows."""
    share = context.runner.share(context.memory_bytes)
    tasks = [
        Counting(files, target, context.spec.slot_ms, share)
        for day in days
        for files in day.slots.values()
        if _paths(files) not in fresh
    ]
    read = context.runner.run("count days", count_files, tasks)
    counts = {**fresh, **{t.paths: c for t, c in zip(tasks, read, strict=True)}}
    rejected = rejected_of(context.settings, {day.number for day in days})
    samples = {row.day: row.title_sample for row in kept.rows if row.segment.is_all}
    rows: dict[int, list[DayRow]] = {}
    for day in days:
        whole = added(counts[_paths(files)] for files in day.slots.values())
        before = [samples[d] for d in range(day.number - TITLE_DAYS, day.number) if d in samples]
        least = context.settings.quality.min_impressions
        rows[day.number] = rows_of_day(
            day.number, whole, rejected[day.number], before, least, day.files
        )
        samples[day.number] = whole.titles
    return rows


def _paths(files: Iterable[LiveFile]) -> frozenset[str]:
    return frozenset(file.path for file in files)
