"""An import undone: `land --forget FILE` leaves the tables as if the file had never come.

    raw         places that hold rows of the file are written again without them, and closed places
                right after: a copy of a log that was a duplicate of a row of the file counts now
    rejected    the rows that the file rejected go
    valid-through   where no topic says it: what the rows of files that stay say. A topic's
                landings go on speaking for the topic

One commit of each table, raw first; killed between them, the same command finishes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch.closing.rewrite import Rewrite
from batch.closing.slots import followers
from batch.files.identify import identify
from batch.importing.imported import files_with
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.guarded_commit import commit
from batch.lake.imported_until import newest_of_files
from batch.lake.slot_states import slot_states
from impressions.core.errors import UsageError
from impressions.core.slot import format_utc, next_slot_ms
from impressions.settings.model import Settings
from impressions.terminal.report import RunReport

if TYPE_CHECKING:
    from pyiceberg.table import Table

_SOURCE = re.compile(r"file:[0-9a-f]{16}")


@dataclass(frozen=True)
class Forgetting:
    """One `land --forget`. `names`: files, or sources as the tables have them."""

    settings: Settings
    names: Sequence[str]
    report: RunReport
    runner: Runner
    dry_run: bool = False


def forget(job: Forgetting) -> None:
    """Does it; fills the report. Nothing to take out is a success that changes nothing.

    Raises:
        UsageError: neither a file nor a source.
    """
    sources = {source_of(name) for name in job.names}
    job.report.extra["sources"] = sorted(sources)
    job.report.counts.update(rows=0, rejected=0, slots=0)
    rewrite = Rewrite(job.settings, job.runner, frozenset(sources))
    if tables.find(job.settings, tables.RAW) is not None:
        retried(lambda: _from_raw(job, rewrite, sources))
    if tables.find(job.settings, tables.REJECTED) is not None:
        retried(lambda: _from_rejected(job, sources))


def source_of(name: str) -> str:
    """What the rows of a file carry; a source is taken as it is."""
    if _SOURCE.fullmatch(name):
        return name
    path = Path(os.path.expanduser(name))
    if not path.is_file():
        raise UsageError(
            f"{name}: found neither a file nor a source such as file:0123456789abcdef",
            hint="rows say their source: SELECT source, count(*) FROM impressions.raw GROUP BY 1",
            reason="no_files",
        )
    return identify([path])[0].source


def _from_raw(job: Forgetting, rewrite: Rewrite, sources: set[str]) -> None:
    settings = job.settings
    table = tables.require(settings, tables.RAW, hint="impressions land")
    base = snapshots.state(table)
    found = list(files_with(table, sources))
    rows = sum(counts.total() for _, counts in found)
    slots = {file.place[0] for file, _ in found}
    slots |= followers(slots, slot_states(table, base.snapshot_id), settings.spec)
    job.report.counts.update(rows=rows, slots=len(slots))
    job.report.snapshots[tables.RAW] = base.snapshot_id
    if not rows or job.dry_run:
        return
    properties = snapshots.properties(snapshots.FORGET, job.report.run_id, base.valid_through_ms)
    if base.landed is None:
        properties[snapshots.VALID_THROUGH] = _valid_through(job, table, base, sources)
    job.report.snapshots[tables.RAW], _ = rewrite.attempt(table, base, slots, properties)
    job.report.changed = True


def _valid_through(job: Forgetting, table: Table, base: snapshots.State, sources: set[str]) -> str:
    """What the rows that stay say, and never more than was said before; empty for nothing."""
    newest_ms = newest_of_files(table, base.snapshot_id, frozenset(sources))
    if newest_ms is None or base.valid_through_ms is None:
        job.report.note("nothing is said any more of how far raw is complete")
        return ""
    through_ms = min(next_slot_ms(newest_ms, job.settings.spec), base.valid_through_ms)
    job.report.note(f"valid through {format_utc(through_ms)}")
    return str(through_ms)


def _from_rejected(job: Forgetting, sources: set[str]) -> None:
    table = tables.require(job.settings, tables.REJECTED, hint="impressions land")
    found = list(files_with(table, sources))
    job.report.counts["rejected"] = sum(counts.total() for _, counts in found)
    if not found or job.dry_run:
        return
    properties = snapshots.properties(snapshots.FORGET, job.report.run_id)
    removed = [file.data for file, _ in found]
    job.report.snapshots[tables.REJECTED] = commit(table, [], properties, removed)
    job.report.changed = True
