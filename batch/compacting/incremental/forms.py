"""Which shards are computed from the generation before, and why the others are not.

Allowed where nothing changed in the slots that the generation before was computed from: the files
of raw that its snapshot lists (their digest is the one it recorded) are the files of now. Late
rows, erasures, imports and slots that were closed again change files; such a shard is computed from
scratch. So is one of which that reads less; what both forms read is known from metadata, and of
files of several shards about, from a sample (costs.py).

When it is a shard's turn it is computed both ways and compared, and the rows from scratch are
published: a thirteenth of the shards each week, and each at the latest after a quarter of a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch.compacting.incremental import costs
from batch.compacting.incremental.costs import Shares
from batch.compacting.incremental.steps import Base
from batch.compacting.job import Compacting
from batch.compacting.planning import by_shard, rows_of_shards
from batch.compacting.window import Window, survey
from batch.lake import snapshots
from batch.lake.data_files import LiveFile, live_files
from batch.lake.generations import Generation
from impressions.core import window as windows
from impressions.core.errors import ImpressionsError
from impressions.core.slot import format_utc
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table

TURNS = 13
NO_BASE = "there is no generation before"


@dataclass(frozen=True)
class Form:
    """How a shard is computed.

    Attributes:
        base: the generation before and what is read beside it; None: from scratch only.
        both: computed both ways and compared.
        why: in words.
        rows: how many are read and counted.   scratch_rows: of raw, from scratch; both about,
        until row_counts.py knows them.
        scratch_bytes, incremental_bytes: what was weighed (costs.py); 0 where nothing was.
        since_ms: the last cutover at which it is computed from scratch.
        unfit: it could not be had from the generation before.
    """

    why: str
    rows: int
    scratch_rows: int
    since_ms: int
    base: Base | None = None
    both: bool = False
    scratch_bytes: int = 0
    incremental_bytes: int = 0
    unfit: bool = False

    @property
    def is_incremental(self) -> bool:
        """Whether its rows are published as they come from the generation before."""
        return self.base is not None and not self.both


def forms_of(
    job: Compacting, window: Window, raw: Table, ema: Table, before: Generation | None
) -> dict[int, Form]:
    """The form of each shard that may have rows. `before`: what main shows."""
    partitions = job.settings.partitions
    now = by_shard(window.files, partitions)
    shares = Shares.of(rows_of_shards(window.files, partitions, raw.io))
    why = _impossible(job, before)
    if before is None or why:
        return {shard: _scratch(job, shares.rows(shard), why) for shard in now}
    try:
        then = by_shard(_source_of(raw, before, job).files, partitions)
    except ImpressionsError as error:
        why = f"the source of {before.name} cannot be looked at: {error.message}"
        return {shard: _scratch(job, shares.rows(shard), why) for shard in now}
    old: dict[int, list[LiveFile]] = {}
    for file in live_files(ema, before.snapshot_id):
        old.setdefault(file.partition["shard"], []).append(file)
    return {
        shard: _form(
            job, shard, files, then.get(shard, []), old.get(shard, []), raw, before, shares
        )
        for shard, files in now.items()
    }


def _impossible(job: Compacting, before: Generation | None) -> str:
    """Why no shard can be computed from the generation before; empty where some may."""
    if job.from_scratch:
        return "--from-scratch"
    if before is None:
        return NO_BASE
    if before.spec_fingerprint != job.spec.fingerprint:
        return f"{before.name} was made with another spec"
    days = windows.utc_day(job.cutover_ms) - windows.utc_day(before.cutover_ms)
    if not 0 <= days <= job.spec.tail_days:
        return f"{before.name} is {days} days before, more than {job.spec.tail_days}"
    return ""


def _source_of(raw: Table, before: Generation, job: Compacting) -> Window:
    """The window of the generation before. Raises ImpressionsError."""
    if before.source_id not in snapshots.by_id(raw):
        raise ImpressionsError(f"snapshot {before.source_id} of raw has expired")
    found = survey(raw, before.source_id, before.cutover_ms, job.spec)
    if found.digest != before.window_digest:
        raise ImpressionsError("its digest is not the one that was recorded")
    return found


def _form(
    job: Compacting,
    shard: int,
    now: Sequence[LiveFile],
    then: Sequence[LiveFile],
    old: Sequence[LiveFile],
    raw: Table,
    before: Generation,
    shares: Shares,
) -> Form:
    first_ms = windows.first_slot_ms(job.cutover_ms, job.spec)
    slots_then = {file.identity for file in then if file.slot_ms >= first_ms}
    slots_now = {file.identity for file in now if file.slot_ms < before.cutover_ms}
    if slots_then != slots_now:
        changed = len(slots_then ^ slots_now)
        why = f"{changed} files of slots before {before.name} changed: late rows, an erasure, an "
        why += "import, or a slot that was closed again"
        return _scratch(job, shares.rows(shard), why)
    base = _base(job, now, old, raw, before)
    paths = {*base.entering, *base.new}
    read = [file for file in now if file.path in paths]
    cost = costs.of_raw(raw, shard, read, job.spec, shares) + costs.of_old(old)
    cost += costs.of_counting(shard, now, shares)
    scratch_cost = costs.of_raw(raw, shard, now, job.spec, shares)
    record = before.incremental
    since_ms = record.since_ms.get(shard, before.cutover_ms)
    form = Form(
        f"reads less from {before.name}", base.old_rows + shares.rows_in(shard, read),
        shares.rows(shard), since_ms, base,
        scratch_bytes=round(scratch_cost), incremental_bytes=round(cost),
    )  # fmt: skip
    if cost * costs.GAIN >= scratch_cost:
        return from_scratch(job, form, "reads less from scratch")
    if is_due(shard, since_ms, job.cutover_ms, job.settings.partitions):
        why = f"its turn to be computed both ways; last from scratch at {format_utc(since_ms)}"
        return replace(from_scratch(job, form, why), base=base, both=True)
    if shard in record.unfit:
        why = f"could not be had from the generation before {before.name}; tried at its turn"
        return replace(from_scratch(job, form, why), unfit=True)
    return form


def from_scratch(job: Compacting, form: Form, why: str) -> Form:
    """The same shard computed from all of raw."""
    return replace(
        form, why=why, rows=form.scratch_rows, since_ms=job.cutover_ms, base=None, both=False
    )  # fmt: skip


def is_due(shard: int, since_ms: int, cutover_ms: int, partitions: int) -> bool:
    """Whether a shard is computed both ways at this cutover."""
    turn = cutover_ms // (7 * DAY_MS) % TURNS
    # Fewer shards than turns: one each week, so that none is without.
    mine = shard % TURNS == turn if partitions >= TURNS else shard == turn % partitions
    return mine or cutover_ms - since_ms >= TURNS * 7 * DAY_MS


def _scratch(job: Compacting, rows: int, why: str) -> Form:
    return Form(why, rows, rows, job.cutover_ms)


def _base(
    job: Compacting,
    now: Sequence[LiveFile],
    old: Sequence[LiveFile],
    raw: Table,
    before: Generation,
) -> Base:
    """What is read."""
    low_us, high_us = (
        windows.tail_days(ms, job.spec).stop * DAY_MS * 1000
        for ms in (before.cutover_ms, job.cutover_ms)
    )
    new = [file for file in now if file.slot_ms >= before.cutover_ms]
    entering = [
        file
        for file in now
        if file.slot_ms < before.cutover_ms and costs.may_hold(raw, file, low_us, high_us)
    ]
    old_paths, entering_paths, new_paths = (
        tuple(file.path for file in files) for files in (old, entering, new)
    )
    old_rows = sum(file.data.record_count for file in old)
    return Base(before.cutover_ms, old_paths, entering_paths, new_paths, old_rows)
