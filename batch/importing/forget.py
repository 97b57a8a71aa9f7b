"""An import undone: `land --forget FILE` leaves the tables as if the file had never come.

    raw             slots that hold rows of the file are written again without them, and closed
                    slots right after: a copy of a device flush that was a duplicate of a row of
                    the file counts now
    rejected        the rows that the file rejected go
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
from batch.jobs.context import Context
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.guarded_commit import commit
from batch.lake.imported_until import newest_of_files
from batch.lake.slot_states import slot_states
from impressions.core.errors import UsageError
from impressions.core.slot import format_utc, next_slot_ms
from impressions.terminal.report import Outcome, Report

if TYPE_CHECKING:
    from pyiceberg.table import Table

_SOURCE = re.compile(r"file:[0-9a-f]{16}")


@dataclass(frozen=True)
class Forgetting(Context):
    """One `land --forget`. `names`: files, or sources as the tables have them."""

    names: Sequence[str]
    dry_run: bool = False


@dataclass(frozen=True)
class Taken:
    """What was taken out of a table, or would be.

    Attributes:
        slots: of raw that are written again.
        snapshot_id: what the table is at; None where nothing ever was in it.
    """

    rows: int = 0
    slots: int = 0
    snapshot_id: int | None = None
    changed: bool = False


def forget(job: Forgetting) -> Outcome:
    """Does it. Nothing to take out is a success that changes nothing.

    Raises:
        UsageError: neither a file nor a source.
    """
    sources = {source_of(name) for name in job.names}
    rewrite = Rewrite(job.settings, job.runner, frozenset(sources))
    raw, rejected, ids = Taken(), Taken(), dict[str, int | None]()
    if tables.find(job.settings, tables.RAW) is not None:
        raw = retried(lambda: _from_raw(job, rewrite, sources))
        ids[tables.RAW] = raw.snapshot_id
    if tables.find(job.settings, tables.REJECTED) is not None:
        rejected = retried(lambda: _from_rejected(job, sources))
        ids |= {tables.REJECTED: rejected.snapshot_id} if rejected.changed else {}
    return Outcome(
        changed=raw.changed or rejected.changed,
        counts={"rows": raw.rows, "rejected": rejected.rows, "slots": raw.slots},
        snapshots=ids,
        extra={"sources": sorted(sources)},
    )


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


def _from_raw(job: Forgetting, rewrite: Rewrite, sources: set[str]) -> Taken:
    table = job.table(tables.RAW)
    if not job.dry_run:
        table = tables.to_rewrite(job.settings, hint="impressions land")
    base = snapshots.state(table)
    holding = list(files_with(table, sources))
    rows = sum(counts.total() for _, counts in holding)
    slots = {file.slot_ms for file, _ in holding}
    slots |= followers(slots, slot_states(table, base.snapshot_id), job.spec)
    if not rows or job.dry_run:
        return Taken(rows, len(slots), base.snapshot_id)
    properties = snapshots.properties(snapshots.FORGET, job.run.id, base.valid_through_ms)
    if base.landed is None:
        properties[snapshots.VALID_THROUGH] = _valid_through(job, table, base, sources)
    snapshot_id, _ = rewrite.attempt(table, base, slots, properties)
    return Taken(rows, len(slots), snapshot_id, changed=True)


def _valid_through(job: Forgetting, table: Table, base: snapshots.State, sources: set[str]) -> str:
    """What the rows that stay say, and never more than was said before; empty for nothing."""
    newest_ms = newest_of_files(table, base.snapshot_id, frozenset(sources))
    if newest_ms is None or base.valid_through_ms is None:
        job.run.note("nothing is said any more of how far raw is complete")
        return ""
    through_ms = min(next_slot_ms(newest_ms, job.spec), base.valid_through_ms)
    job.run.note(f"valid through {format_utc(through_ms)}")
    return str(through_ms)


def _from_rejected(job: Forgetting, sources: set[str]) -> Taken:
    table = job.table(tables.REJECTED)
    holding = list(files_with(table, sources))
    rows = sum(counts.total() for _, counts in holding)
    if not holding or job.dry_run:
        return Taken(rows)
    properties = snapshots.properties(snapshots.FORGET, job.run.id)
    removed = [file.data for file, _ in holding]
    return Taken(rows, snapshot_id=commit(table, [], properties, removed), changed=True)


def summary(report: Report, *, dry_run: bool) -> str:
    """What was taken out, for people."""
    counts = report.outcome.counts
    verb = "would take out" if dry_run else "took out"
    return (
        f"{verb} {counts['rows']:,} rows of {counts['slots']:,} slots and "
        f"{counts['rejected']:,} rejected rows in {report.seconds:.1f} s"
    )
