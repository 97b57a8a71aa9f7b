"""One run of housekeeping, in order:

    1  the time that it goes by; nothing is old by a single clock                   agreed.py
    2  directories of dead imports                                                  leftovers.py
    3  old exported generations, and what dead exports left                         published.py
    4  raw, then ema: refs and snapshots, then files                                table.py
    5  rejected and quality: snapshots, then files
    6  rows of raw and rejected rows beyond their time                              old_rows.py

What frees room without writing comes first: a full disk has none for the commits behind it. Raw
comes before ema: killed between them, a generation that goes has lost its source's tag, and the
next run drops the generation by the same count. Each commit is guarded by what it was computed
from, so every other command may run meanwhile. A second run finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from batch.housekeeping import hosts, leftovers, old_rows, published
from batch.housekeeping.agreed import agreed
from batch.housekeeping.keeping import (
    generations_kept,
    refs_dropped,
    snapshots_dropped,
    sources_needed,
)
from batch.housekeeping.removed import Removed, outcome_of
from batch.housekeeping.retention import deleted_until_ms
from batch.housekeeping.table import Keeping, Plan, clean, commits_of
from batch.jobs.context import Context
from batch.lake import snapshots, tables
from batch.lake.generations import History, history
from impressions.core.spec import DAY_MS
from impressions.process.failpoint import failpoint
from impressions.terminal.report import Outcome

if TYPE_CHECKING:
    from pyiceberg.table import Table

_ALL = (tables.RAW, tables.EMA, tables.REJECTED, tables.QUALITY)


def run(context: Context, *, dry_run: bool = False) -> Outcome:
    """Does all of it; in a dry run, says what it would do.

    Raises:
        Refused: the tables are of other settings, or the host's pointer cannot be read.
        CorruptData: files that snapshots need are not there, or cannot be read.
    """
    found = {name: tables.fitting(context.settings, name) for name in _ALL}
    there = {name: table for name, table in found.items() if table is not None}
    at = agreed(context.clock(), found[tables.RAW], there.values())
    job = Keeping(context, at, dry_run)
    on_hosts = hosts.in_use(context.settings)
    directories = published.exported(job)
    keep = context.settings.housekeeping.keep_published
    old = published.beyond(directories, keep, on_hosts)
    removed = [leftovers.imports(job), *published.clean(job, directories, old)]
    failpoint("after-published")
    gone = {one.name for one in old}
    exported = {one.name for one in directories if one.name not in gone and _may_be_used(one)}
    for name in there:
        removed += clean(job, name, _plan(job, name, exported, on_hosts))
        failpoint(f"after-{name}")
    if tables.RAW in there:
        removed += _old_rows(job, exported, on_hosts, tables.REJECTED in there)
    return outcome_of(removed, at, dry_run=dry_run)


def _may_be_used(one: published.Exported) -> bool:
    """Of one whose manifest cannot be read, nobody knows."""
    return one.manifest is not None or not one.readable


def _kept(
    job: Keeping, exported: Collection[str], on_hosts: Collection[str]
) -> tuple[History, dict[int, str]]:
    """The published generations as they are now, and why some of them stay."""
    known = history(tables.find(job.context.settings, tables.EMA))
    keep = job.context.settings.housekeeping.keep_generations
    return known, generations_kept(known, keep, exported, on_hosts)


def _plan(
    job: Keeping, name: str, exported: Collection[str], on_hosts: Collection[str]
) -> Callable[[Table], Plan]:
    """What goes of a table, decided by it as it is when asked."""
    keep_ms = round(job.context.settings.housekeeping.keep_snapshots_days * DAY_MS)
    now_ms = job.at.now_ms

    def plan(table: Table) -> Plan:
        commits, refs, needed = commits_of(table), dict[str, str](), set[int]()
        if name in (tables.RAW, tables.EMA):
            known, kept = _kept(job, exported, on_hosts)
            refs = refs_dropped(commits, known, kept, now_ms)
            needed = sources_needed(known, kept)
        return Plan(refs, frozenset(snapshots_dropped(commits, refs, needed, keep_ms, now_ms)))

    return plan


def _old_rows(
    job: Keeping, exported: Collection[str], on_hosts: Collection[str], rejected: bool
) -> list[Removed]:
    context = job.context
    known, kept = _kept(job, exported, on_hosts)
    all_ms = {*known.tagged, *([known.main.cutover_ms] if known.main else [])}
    until_ms = deleted_until_ms(
        job.at.now_ms, snapshots.state(context.table(tables.RAW)).valid_through_ms, all_ms, kept,
        context.settings.housekeeping.keep_raw_days, context.spec,
    )  # fmt: skip
    names = (tables.RAW, *((tables.REJECTED,) if rejected else ()))
    return [old_rows.delete(job, name, until_ms) for name in names]
