"""Rejected rows of days, by device type, app version and reason, from `impressions.rejected`.

A row without an ingest time is of no day and is counted nowhere. Rows that an earlier version wrote
do not say which device they came from: `unknown`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from batch.lake import snapshots, tables
from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import LiveFile, bound, live_files
from batch.quality.day_rows import Rejected
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from pyiceberg.table import Table

_COLUMNS = ("ingest_slot", "reason", "device_type", "app_version")
_DAY_US = DAY_MS * 1000


def rejected_of(settings: Settings, days: Collection[int]) -> dict[int, Rejected]:
    """Day -> its rejected rows; nothing where there is no table."""
    table = tables.fitting(settings, tables.REJECTED)
    counts: dict[int, Counter[tuple[str, str, str]]] = {day: Counter() for day in days}
    if table is None or not days:
        return dict(counts)
    for file in live_files(table, snapshots.main_id(table)):
        if _may_hold(table, file, days):
            _count(table, file, counts)
    return dict(counts)


def _may_hold(table: Table, file: LiveFile, days: Collection[int]) -> bool:
    low, high = (bound(table, file.data, "ingest_slot", upper=up) for up in (False, True))
    if low is None or high is None:
        return True
    return any(low // _DAY_US <= day <= high // _DAY_US for day in days)


def _count(table: Table, file: LiveFile, counts: dict[int, Counter[Any]]) -> None:
    there = {field.name for field in table.schema().fields}
    columns = tuple(name for name in _COLUMNS if name in there)
    for rows in rows_of(file, table.io, table.schema(), columns):
        day = integers(rows, "ingest_slot") // _DAY_US
        said = [
            rows[name].to_pylist() if name in columns else [None] * len(day)
            for name in ("device_type", "app_version", "reason")
        ]
        for one, device, version, reason in zip(day.tolist(), *said, strict=True):
            if one in counts:
                counts[one][device or "", version or "", reason or "unknown"] += 1
