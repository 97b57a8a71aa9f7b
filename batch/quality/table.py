"""`impressions.quality`: rows of days in an Iceberg table, a data file a month.

A day that is counted again replaces its rows: the files of its month are written again without the
old ones, in one commit that asserts the snapshot it was read at. Acceptances are properties of the
table and of the commit that adds them (acceptance.py); expiring snapshots keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from batch.lake import snapshots, tables
from batch.lake.columns import QUALITY_COLUMNS, arrow_schema
from batch.lake.conflict import retried
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import live_files
from batch.lake.tables import QUALITY
from batch.quality.acceptance import Acceptance, acceptances
from batch.quality.day_rows import COUNTS, FLOATS, DayRow
from batch.quality.findings import EPOCH, day_name
from batch.quality.segments import Segment
from impressions.settings.model import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_DIVIDED = {
    "impressions_per_profile": ("impressions", "profiles"),
    "plays_per_impression": ("plays", "impressions"),
    "share_zero_dwell": ("zero_dwell", "impressions"),
    "share_clamped": ("clamped", "impressions"),
    "share_late": ("late", "impressions"),
    "share_largest_profile": ("largest", "impressions"),
}
"""Columns for people -> what is divided by what."""
_SEGMENT = ("location", "device_type", "app_version")
_judged: dict[Callable[[Settings], Any], tuple[str, Any]] = {}
T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """The table as it is: rows by day, and what was accepted; empty where there is no table."""

    rows: tuple[DayRow, ...] = ()
    accepted: tuple[Acceptance, ...] = ()


def read(settings: Settings) -> Kept:
    """All rows. Raises Refused where the table is of other settings."""
    table = tables.fitting(settings, QUALITY)
    if table is None:
        return Kept()
    rows = [row for file in live_files(table, snapshots.main_id(table)) for row in _of(table, file)]
    return Kept(tuple(rows), tuple(acceptances(table.properties)))


def once(settings: Settings, judge: Callable[[Settings], T | None]) -> T | None:
    """`judge` of the table, called once for each state of it, since `status --watch` and pages ask
    again and again; None where there is no table."""
    table = tables.fitting(settings, QUALITY)
    if table is None:
        return None
    if judge not in _judged or _judged[judge][0] != table.metadata_location:
        _judged[judge] = table.metadata_location, judge(settings)
    said: T | None = _judged[judge][1]
    return said


def replace(settings: Settings, days: Mapping[int, Sequence[DayRow]], run_id: str) -> int | None:
    """Puts these days' rows in the place of what stood there; the snapshot, None for no day."""
    if not days:
        return None
    from batch.lake.guarded_commit import commit, discard

    months = {month_of(day) for day in days}

    def attempt() -> int:
        [table] = tables.create_if_missing(settings, QUALITY)
        standing = live_files(
            table, snapshots.main_id(table), lambda partition: partition["month"] in months
        )
        kept = [row for file in standing for row in _of(table, file) if row.day not in days]
        rows = [*kept, *(row for of_day in days.values() for row in of_day)]
        added = [file for month in sorted(months) for file in _written(table, month, rows)]
        said = snapshots.properties(snapshots.CLOSE, run_id)
        try:
            return commit(table, added, said, [file.data for file in standing])
        except Exception:  # whatever it is, files without a commit must not stay
            discard(table, added)
            raise

    return retried(attempt)


def add_acceptance(settings: Settings, one: Acceptance, run_id: str) -> int:
    """Records it: a commit without rows that carries it, and the table's property."""
    from batch.lake.guarded_commit import commit

    def attempt() -> int:
        [table] = tables.create_if_missing(settings, QUALITY)
        said = snapshots.properties("accept", run_id) | one.property
        return commit(table, (), said, table_properties=one.property)

    return retried(attempt)


def month_of(day: int) -> str:
    return day_name(day)[:7]


def _written(table: Table, month: str, rows: Collection[DayRow]) -> list[DataFile]:
    mine = [row for row in rows if month_of(row.day) == month]
    mine.sort(key=lambda row: (row.day, len(row.segment.grouping), row.segment.key))
    return write(target_of(table), {"month": month}, _arrow(mine, month)) if mine else []


def _arrow(rows: Sequence[DayRow], month: str) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "month": [month] * len(rows),
        "day": [date.fromordinal(EPOCH + row.day) for row in rows],
        **{name: [getattr(row.segment, name) for row in rows] for name in _SEGMENT},
        **{name: [getattr(row, name) for row in rows] for name in COUNTS},
        **{name: [_known(getattr(row, name)) for row in rows] for name in FLOATS},
        "title_sample": [row.title_sample.astype("<u8").tobytes() or None for row in rows],
        "rejected": [json.dumps(dict(row.rejected)) for row in rows],
        "hours": [json.dumps(row.hours) for row in rows],
        "by_hour": [json.dumps(dict(row.by_hour)) for row in rows],
        "files": [row.files for row in rows],
        **{
            name: [_share(getattr(row, count), getattr(row, of)) for row in rows]
            for name, (count, of) in _DIVIDED.items()
        },
    }
    schema = arrow_schema(QUALITY_COLUMNS)
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _of(table: Table, file: Any) -> list[DayRow]:
    columns = tuple(QUALITY_COLUMNS)
    pieces = rows_of(file, table.io, table.schema(), columns)
    return [_day_row(said) for piece in pieces for said in piece.to_pylist()]


def _day_row(said: Mapping[str, Any]) -> DayRow:
    numbers: dict[str, Any] = {n: said[n] or 0 for n in COUNTS if n != "rejected_rows"}
    numbers |= {n: float("nan") if said[n] is None else said[n] for n in FLOATS}
    return DayRow(
        day=said["day"].toordinal() - EPOCH,
        segment=Segment(*(said[name] for name in _SEGMENT)),
        rejected=json.loads(said["rejected"] or "{}"),
        hours=tuple(json.loads(said["hours"])),
        by_hour=_ByHour(said["by_hour"] or "{}"),
        title_sample=np.frombuffer(said["title_sample"] or b"", "<u8").astype(np.uint64),
        files=said["files"] or "",
        **numbers,
    )


class _ByHour(Mapping[str, tuple[int, ...]]):
    """`DayRow.by_hour` as the table holds it, parsed when somebody asks: that is done of days with
    findings, and a year has thousands of rows."""

    def __init__(self, text: str):
        self._text = text

    @cached_property
    def _counts(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(counts) for name, counts in json.loads(self._text).items()}

    def __getitem__(self, name: str) -> tuple[int, ...]:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)
