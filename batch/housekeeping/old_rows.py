"""Rows of raw, and rejected rows, beyond their time: whole data files leave the newest snapshot.

No row is read or written: of raw, a file lies in one slot; of rejected rows, a file says the newest
slot in it. Rejected rows of files whose ingest time is not known stay. The commit asserts the one
it was computed from. The files themselves go when no snapshot names them any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from batch.housekeeping import removed as report
from batch.housekeeping.removed import Removed
from batch.housekeeping.table import Keeping
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.data_files import LiveFile, bound, live_files
from batch.lake.guarded_commit import commit
from batch.lake.slot_states import nulls
from impressions.core.slot import format_utc
from impressions.core.spec import DAY_MS
from impressions.terminal.console import progress

if TYPE_CHECKING:
    from pyiceberg.table import Table


def delete(job: Keeping, name: str, until_ms: int | None) -> Removed:
    """Deletes rows of `name` that were ingested on days before `until_ms`; None: of no day."""
    if until_ms is None:
        return Removed(report.ROWS, name, 0)
    is_old = _of_raw(until_ms) if name == tables.RAW else _of_rejected(until_ms)

    def attempt() -> list[LiveFile]:
        table = job.context.table(name)
        base = snapshots.state(table)
        old = [file for file in live_files(table, base.snapshot_id) if is_old(table, file)]
        if old and not job.dry_run:
            through_ms = base.valid_through_ms if name == tables.RAW else None
            said = snapshots.properties(snapshots.HOUSEKEEPING, job.context.run.id, through_ms)
            commit(table, (), said, [file.data for file in old], reached_ms=job.at.now_ms)
        return old

    with progress(f"old rows of {name}", unit="time"):
        old = retried(attempt)
    return Removed(
        report.ROWS,
        name,
        sum(file.data.record_count for file in old),
        sum(file.data.file_size_in_bytes for file in old),
        (f"{len(old):,} files of days before {format_utc(until_ms)}",) if old else (),
    )


def _of_raw(until_ms: int) -> Callable[[Table, LiveFile], bool]:
    return lambda table, file: file.slot_ms + DAY_MS <= until_ms


def _of_rejected(until_ms: int) -> Callable[[Table, LiveFile], bool]:
    def is_old(table: Table, file: LiveFile) -> bool:
        newest_us = bound(table, file.data, "ingest_slot", upper=True)
        known = newest_us is not None and nulls(table, file.data, "ingest_slot") == 0
        return known and newest_us // 1000 + DAY_MS <= until_ms

    return is_old
