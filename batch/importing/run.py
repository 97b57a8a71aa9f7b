"""One import, in order:

    1  files are found and named by the sha256 of their bytes; those already in raw are left out
    2  the mapping is checked against the columns; the first rows of each file are judged
    3  every row is judged and counted; valid ones are kept in runs, rejected ones written as data
       files; nothing is committed yet                                           staging.py
    4  rejected rows -> impressions.rejected, replacing what a killed run left   rejects.py
    5  valid rows -> impressions.raw, in ONE commit that also carries valid-through and the counts
                                                                                 merging.py

Killed anywhere, the same command finishes the work: before 5 raw knows nothing of the files, after
it they are imported and left out. The commit of 5 replaces every place that the files touch with
its rows and theirs together in closed form, so raw is never seen half flagged, and two imports give
what one import of both files gives.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batch.closing.place import files_of
from batch.files.find import find_files
from batch.files.identify import SourceFile, identify
from batch.files.reader import OpenFile, open_files
from batch.files.sample import look_first
from batch.importing import rejected_rows as rejects
from batch.importing import valid_through as claim
from batch.importing.imported import rows_by_source
from batch.importing.job import Import
from batch.importing.merging import Merge
from batch.importing.staging import Plan, Run, Staged, stage
from batch.importing.survey import Survey
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.cursor import Landed
from batch.lake.guarded_commit import commit, discard
from batch.lake.writing import target_of
from batch.landing import overlap
from impressions.core.errors import ImpressionsError
from impressions.core.slot import format_utc
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.table import Table

_COUNTS = ("read", "applied", "duplicate", "rejected")
_PIECE_ROWS = 4 << 20
_OLD_S = 86_400


def run_import(job: Import) -> None:
    """Does all of it; fills the report.

    Raises:
        UsageError, MappingError, CorruptData: the files or the mapping; nothing was committed.
        Refused: the tables belong to other settings, or the files overlap the topic.
    """
    found = find_files(job.paths)
    for left in found.left_out:
        job.report.note(f"left out: {left}")
    files = identify(found.files)
    _note_copies(job, files)
    raw = tables.fitting(job.settings, tables.RAW)
    new = _without_imported(job, files, raw)
    job.report.counts.update(dict.fromkeys(_COUNTS, 0), files=len(files), files_new=len(new))
    job.report.counts["files_left_out"] = len(found.left_out)
    if not new:
        _only_valid_through(job, raw)
        return
    opened = open_files(new, job.mapping)
    if job.look_first:
        look_first(opened, job.mapping, job.spec, job.clock())
    landed = _landed(job, raw)
    if not job.dry_run:
        raw, _ = tables.create_if_missing(job.settings, tables.RAW, tables.REJECTED)
    with _place_for_runs(job, raw) as root:
        staged = _judge(job, opened, raw, root)
        try:
            claim_ms = _claim(job, staged.survey, landed, len(found.left_out))
        except ImpressionsError:
            discard(raw, staged.rejected)
            raise
        try:
            _write(job, staged, {file.source for file in new}, raw, claim_ms)
        finally:
            _remove(raw, staged.runs)


def _write(
    job: Import, staged: Staged, sources: set[str], raw: Table | None, claim_ms: int | None
) -> None:
    """Steps 4 and 5; in a dry run, counts what they would write."""
    survey = staged.survey
    merge = Merge(
        job.spec, job.runner, staged.runs, job.identified, not job.mapping.ingest_is_event,
        job.memory_bytes // 2,
    )  # fmt: skip
    if job.dry_run:
        base_id = None if raw is None else snapshots.main_id(raw)
        closed, _ = merge.merged(raw, base_id, writes=False)
        _count(job, closed)
        return
    expected = survey.rejected_by_source
    run_id = job.report.run_id
    replaced_id = rejects.replace(job.settings, expected, sources, staged.rejected, run_id)
    if replaced_id is not None:
        job.report.changed = True
        job.report.snapshots[tables.REJECTED] = replaced_id
    failpoint("after-rejected")
    if survey.valid:
        retried(lambda: _commit(job, merge, survey, claim_ms))
        job.report.changed = True
    _balance(job)


def _commit(job: Import, merge: Merge, survey: Survey, claim_ms: int | None) -> None:
    table = tables.require(job.settings, tables.RAW, hint="impressions land")
    base = snapshots.state(table)
    closed, replaced = merge.merged(table, base.snapshot_id)
    standing = sum(file.record_count for file in replaced)
    written = sum(one.rows for one in closed)
    if sum(one.new for one in closed) != survey.valid or written > standing + survey.valid:
        raise ImpressionsError(
            f"the import does not balance: {survey.valid:,} valid rows and {standing:,} that stood "
            f"in the same places, but {written:,} to write",
            hint="nothing of it was committed; this is a defect, please report it",
            reason="unbalanced",
        )
    through_ms = None
    if claim_ms is not None and base.landed is None:
        through_ms = max(claim_ms, base.valid_through_ms or 0)
    said = snapshots.properties(snapshots.LAND, job.report.run_id, through_ms) | {
        "impressions.read": str(survey.read),
        "impressions.valid": str(survey.valid),
        "impressions.rejected": str(survey.read - survey.valid),
    }
    job.report.snapshots[tables.RAW] = commit(table, files_of(closed), said, replaced)
    _count(job, closed)


def _count(job: Import, closed: Sequence) -> None:  # type: ignore[type-arg]
    duplicate = sum(one.new_duplicates for one in closed)
    applied = sum(one.new for one in closed) - duplicate
    job.report.counts.update(applied=applied, duplicate=duplicate)


def _judge(job: Import, opened: Sequence[OpenFile], raw: Table | None, root: str) -> Staged:
    """Step 3; says what it found."""
    rejected = None if job.dry_run else tables.require(job.settings, tables.REJECTED, hint="")
    target = None if rejected is None else target_of(rejected)
    plan = Plan(
        job.mapping, job.spec, job.clock(), job.settings.partitions, target, root,
        None if raw is None else target_of(raw), job.memory_bytes,
    )  # fmt: skip
    pieces = [piece for file in opened for piece in file.pieces(_PIECE_ROWS)]
    staged = stage(job.runner, plan, pieces, rejected)
    _note_survey(job, staged.survey)
    return staged


def _note_survey(job: Import, survey: Survey) -> None:
    report = job.report
    for target, default in job.mapping.defaults.items():
        report.note(f"{target} is not mapped: {default}")
    defaulted = {target: count for target, count in survey.defaulted.items() if count}
    for target, count in defaulted.items():
        report.note(f"{target} is null in {count:,} rows: the default stands in")
    if job.mapping.ingest_is_event:
        report.note("ingest time = event time")
    for label, count in survey.rejected.items():
        report.note(f"{count:,} rows rejected: {label}")
    report.counts.update(read=survey.read, rejected=survey.rejected.total())
    report.extra.update(rejected_by_reason=dict(survey.rejected), defaulted=defaulted)


def _claim(job: Import, survey: Survey, landed: Landed | None, left_out: int) -> int | None:
    if survey.newest_ingest_ms is None:
        job.report.note(
            "no valid row: raw stays as it is. A wrong column or unit? Text ids need :hash"
        )
        return None
    begins_ms = overlap.topic_begins_ms(job.settings, landed)
    overlap.check_import(survey.newest_ingest_ms, begins_ms, job.settings.kafka.topic)
    return claim.valid_through_ms(job, survey.newest_ingest_ms, landed, begins_ms, left_out)


def _note_copies(job: Import, files: Sequence[SourceFile]) -> None:
    for file in files:
        for copy in file.copies:
            job.report.note(f"{copy}: the same bytes as {file.name}, read once")


def _landed(job: Import, raw: Table | None) -> Landed | None:
    """How far a topic is in raw; refuses a --valid-through where one is."""
    landed = None if raw is None else snapshots.state(raw).landed
    if job.valid_through_ms is not None:
        overlap.refuse_claim(landed)
    return landed


def _without_imported(
    job: Import, files: Sequence[SourceFile], raw: Table | None
) -> list[SourceFile]:
    """Files that raw holds no row of; says which ones it does."""
    held = rows_by_source(raw, [file.source for file in files])
    rejected = rows_by_source(tables.fitting(job.settings, tables.REJECTED), held) if held else {}
    for file in files:
        if file.source in held:
            job.report.note(
                f"{file.name}: already imported, {held[file.source]:,} rows in raw and "
                f"{rejected.get(file.source, 0):,} rejected; to import it again with another "
                f"mapping, take it out first: impressions land --forget {file.source}"
            )
    return [file for file in files if file.source not in held]


def _only_valid_through(job: Import, raw: Table | None) -> None:
    """Nothing to import, but the caller may say that nothing more is to come until a time."""
    job.report.note("nothing to import")
    asked_ms = job.valid_through_ms
    if asked_ms is None or job.dry_run or raw is None:
        return
    claim.refuse_future(asked_ms, job.clock())

    def attempt() -> None:
        table = tables.require(job.settings, tables.RAW, hint="impressions land")
        base = snapshots.state(table)
        overlap.refuse_claim(base.landed)
        if asked_ms <= (base.valid_through_ms or 0):
            return
        said = snapshots.properties(snapshots.LAND, job.report.run_id, asked_ms)
        job.report.snapshots[tables.RAW] = commit(table, [], said)
        job.report.changed = True
        job.report.note(f"valid through {format_utc(asked_ms)}")

    retried(attempt)


@contextmanager
def _place_for_runs(job: Import, raw: Table | None) -> Iterator[str]:
    """Where runs go: a directory of this host, or beside the table for executors elsewhere."""
    if not job.runner.is_local and raw is not None:
        yield f"{raw.location()}/staging/{uuid.uuid4()}"
        return
    parent = job.settings.home_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    now_s = job.clock() / 1000
    for old in parent.glob("import-*"):
        if now_s - old.stat().st_mtime > _OLD_S:  # of an import that was killed
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=parent) as directory:
        yield directory


def _remove(raw: Table | None, runs: Sequence[Run]) -> None:
    """Runs beside the table; those in a directory of this host go with it."""
    for run in runs:
        if raw is not None and run.location.startswith(raw.location()):
            with suppress(OSError):  # in nobody's way: no table names it
                raw.io.delete(run.location)


def _balance(job: Import) -> None:
    """read = applied + duplicate + rejected: nothing is lost, nothing comes from nowhere."""
    counts = job.report.counts
    parts = {name: counts[name] for name in ("applied", "duplicate", "rejected")}
    if counts["read"] != sum(parts.values()):
        found = " + ".join(f"{count:,} {name}" for name, count in parts.items())
        raise ImpressionsError(
            f"the import does not balance: read {counts['read']:,} rows, but {found}",
            hint="this is a defect, please report it with the run report",
            reason="unbalanced",
        )
