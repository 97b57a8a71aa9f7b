"""One table: refs and snapshots that do not stay go, then the files that nothing names any more.

    1  the metadata is read, the files below the location are listed
    2  refs and snapshots: one commit on that metadata; when another commit came first, it is
       decided again from the newest                                     batch/lake/removal.py
    3  the metadata is read again; files that it does not name are deleted             files.py

Killed after 2, the next run finds the files as orphans, as soon as they are old enough for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.housekeeping import removed as report
from batch.housekeeping.agreed import Agreed
from batch.housekeeping.files import Unneeded, not_listed, store_runs_behind, unneeded
from batch.housekeeping.keeping import OLD_GENERATION, Commits
from batch.housekeeping.removed import Removed
from batch.jobs.context import Context
from batch.lake import snapshots, stored_files
from batch.lake.conflict import retried
from batch.lake.needed_files import NeededFiles, key_of, of_metadata
from batch.lake.removal import remove
from batch.lake.stored_files import StoredFile
from impressions.core.errors import CorruptData
from impressions.core.spec import DAY_MS
from impressions.terminal.console import human_age, progress

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Plan:
    """Of one table.

    Attributes:
        refs: that go, with the reason.   snapshot_ids: that go.
    """

    refs: Mapping[str, str]
    snapshot_ids: frozenset[int]


@dataclass(frozen=True)
class Keeping:
    """One run. `at`: the time that it goes by."""

    context: Context
    at: Agreed
    dry_run: bool


@dataclass
class _Named:
    """Files that snapshots name: of all, before any was removed."""

    reading: NeededFiles = field(default_factory=NeededFiles)
    before: set[str] = field(default_factory=set)


def commits_of(table: Table) -> Commits:
    """What the table's metadata says of its snapshots."""
    metadata = table.metadata
    return Commits(
        known=snapshots.by_id(table),
        stamps_ms={s.snapshot_id: s.timestamp_ms for s in metadata.snapshots},
        refs=snapshots.refs(table),
        branches=frozenset(
            name for name, ref in metadata.refs.items() if ref.snapshot_ref_type.value == "branch"
        ),
        retain_ms={n: ref.max_ref_age_ms for n, ref in metadata.refs.items() if ref.max_ref_age_ms},
    )


def clean(job: Keeping, name: str, plan_of: Callable[[Table], Plan]) -> list[Removed]:
    """Does it, or in a dry run says what it would do.

    Args:
        plan_of: decides by the table as it is then; asked again after a conflict.

    Raises:
        CorruptData: what is needed cannot be read, or is not there; no file was deleted.
    """
    table, named = job.context.table(name), _Named()
    with progress(f"list {name}", unit="time"):
        files = stored_files.listed(table)
    with progress(f"snapshots of {name}", unit="time"):
        plan, after = _commit(job, name, plan_of, named)
    gone = Unneeded((), ())
    if files is None:
        job.context.run.note(
            f"{name}: the files of this store cannot be listed, so none is deleted; Spark's "
            "remove_orphan_files can"
        )
    else:
        gone = _files(job, table, after, plan, files, named)
        if not job.dry_run:
            with progress(f"delete files of {name}", unit="time"):
                left = stored_files.delete(table, (*gone.freed, *gone.orphans))
            gone = _without(job, name, gone, left)
    return _report(name, plan, gone)


def _commit(
    job: Keeping, name: str, plan_of: Callable[[Table], Plan], named: _Named
) -> tuple[Plan, Table]:
    """What goes, and the table after it."""

    def attempt() -> Plan:
        table = job.context.table(name)
        plan = plan_of(table)
        if plan.snapshot_ids:
            named.before |= named.reading.of(table, snapshots.by_id(table).keys())
        if (plan.refs or plan.snapshot_ids) and not job.dry_run:
            remove(table, plan.refs.keys(), plan.snapshot_ids)
        return plan

    return retried(attempt), job.context.table(name)


def _files(
    job: Keeping,
    listed_at: Table,
    after: Table,
    plan: Plan,
    files: list[StoredFile],
    named: _Named,
) -> Unneeded:
    """`listed_at`: the table as it was before its files were listed."""
    staying = snapshots.by_id(after).keys() - (plan.snapshot_ids if job.dry_run else set())
    needed = named.reading.of(after, staying)
    known_then = named.reading.of(after, staying & snapshots.by_id(listed_at).keys())
    if missing := not_listed(files, key_of(after.location()), known_then):
        raise CorruptData(
            f"{'.'.join(after.name())}: {len(missing)} files that snapshots need are not among the "
            f"{len(files):,} below {after.location()}, such as {missing[0]}: no file was deleted",
            hint="if the file is there, it is named in another way than listed; if not, it is "
            "lost: roll the table back, or drop the branch or tag that needs it",
            reason="listing_differs",
        )
    days = job.context.settings.housekeeping.orphan_days
    old_ms: int | None = round(job.at.now_ms - days * DAY_MS)
    stamps = {key_of(s.manifest_list): s.timestamp_ms for s in after.metadata.snapshots}
    if behind := store_runs_behind(files, stamps):
        job.context.run.note(
            f"{after.name()[-1]}: the store says that {behind[0].rpartition('/')[2]} is older, by "
            f"{human_age(behind[1] / 1000)}, than its commit: files of dead attempts are left"
        )
        old_ms = None
    return unneeded(files, named.before, needed | of_metadata(after), old_ms)


def _without(job: Keeping, name: str, gone: Unneeded, left: Mapping[StoredFile, str]) -> Unneeded:
    """Without those that could not be deleted, which it says; the next run finds them again."""
    if left:
        file, why = next(iter(left.items()))
        job.context.run.note(
            f"{name}: {len(left):,} files could not be deleted, such as {file.location} ({why}); "
            "the next run tries again"
        )
    freed, orphans = (
        tuple(f for f in some if f not in left) for some in (gone.freed, gone.orphans)
    )
    return Unneeded(freed, orphans)


def _report(name: str, plan: Plan, gone: Unneeded) -> list[Removed]:
    of_generations = {n: why for n, why in plan.refs.items() if why == OLD_GENERATION}
    others = {n: why for n, why in plan.refs.items() if why != OLD_GENERATION}
    ids = tuple(map(str, sorted(plan.snapshot_ids)))
    pairs = (
        (rule, [(file.location, file.size_bytes) for file in some])
        for rule, some in ((report.FREED, gone.freed), (report.ORPHANS, gone.orphans))
    )
    return [
        report.refs_removed(report.GENERATIONS, name, of_generations),
        report.refs_removed(report.BRANCHES, name, others),
        Removed(report.SNAPSHOTS, name, len(ids), 0, ids),
        *(report.files_removed(rule, name, some) for rule, some in pairs),
    ]
