"""One import, in order:

    1  files are searched and named by the sha256 of their bytes; those already in raw are left out
                                                                                 choosing.py
    2  the mapping is checked against the columns; the first rows of each file are judged
    3  every row is judged and counted; valid ones are kept in runs, rejected ones written as data
       files; nothing is committed yet                                           staging.py
    4  rejected rows -> impressions.rejected, replacing what a killed run left   rejected_rows.py
    5  valid rows -> impressions.raw, in ONE commit that also carries valid-through and the counts
                                                                                 merging.py
    6  the days get their rows of impressions.quality, and are judged (closing/reviewing.py)

Killed anywhere, the same command finishes the work: before 5 raw knows nothing of the files, after
it they are imported and left out. The commit of 5 replaces every slot that the files touch with
its rows and theirs together in closed form, so raw is never seen half flagged, and two imports give
what one import of both files gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batch.closing.reviewing import record_and_review
from batch.closing.rewrite import layout_of
from batch.closing.tasks import files_of
from batch.files.reader import OpenFile, open_files
from batch.files.sample import look_first
from batch.importing import expected, rejected_rows, valid_through
from batch.importing.choosing import Chosen, chosen, listed
from batch.importing.job import Import
from batch.importing.merging import Merge
from batch.importing.outcome import Written, check_balance, outcome_of, written
from batch.importing.run_directory import directory_of, remove
from batch.importing.staging import Plan, Staged, stage
from batch.importing.survey import Survey
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.cursor import Landed
from batch.lake.data_file_writer import target_of
from batch.lake.guarded_commit import commit, discard
from batch.landing import overlap
from impressions.core.errors import ImpressionsError
from impressions.history.run_record import HEALED
from impressions.process.failpoint import failpoint
from impressions.process.recording import event
from impressions.terminal.report import Outcome

if TYPE_CHECKING:
    from pyiceberg.table import Table

_PIECE_ROWS = 4 << 20


def run_import(job: Import) -> Outcome:
    """Does all of it.

    Raises:
        UsageError, MappingError, CorruptData: the files or the mapping; nothing was committed.
        Refused: the tables belong to other settings, or the files overlap the topic.
    """
    all_files = listed(job)
    raw = tables.fitting(job.settings, tables.RAW)
    if job.accept_loss and raw is not None and not job.dry_run:
        expected.accept(job, [file.source for file in all_files.files])
        raw = tables.fitting(job.settings, tables.RAW)
    files = chosen(job, all_files, raw)
    if not files.new:
        job.run.note("nothing to import")
        said_id = valid_through.extend(job, raw)
        said = Written(snapshots={} if said_id is None else {tables.RAW: said_id})
        return outcome_of(files, None, said, None)
    opened = open_files(files.new, job.mapping)
    if job.look_first:
        look_first(opened, job.mapping, job.spec, job.clock())
    landed = _landed(job, raw)
    if not job.dry_run:
        raw, _ = tables.create_if_missing(job.settings, tables.RAW, tables.REJECTED)
    with directory_of(job, raw) as root:
        staged = _judge(job, opened, raw, root)
        try:
            through_ms = _through(job, staged.survey, landed, all_files.left_out)
        except ImpressionsError:
            discard(raw, staged.rejected)
            raise
        try:
            done = _write(job, staged, files, raw, through_ms)
        finally:
            remove(raw, staged.runs)
    outcome = outcome_of(files, staged.survey, done, through_ms)
    return record_and_review(job, outcome, done.counts) if tables.RAW in done.snapshots else outcome


def _judge(job: Import, opened: Sequence[OpenFile], raw: Table | None, root: str) -> Staged:
    """Step 3; says what came of it."""
    rejected = None if job.dry_run else job.table(tables.REJECTED)
    target = None if rejected is None else target_of(rejected)
    plan = Plan(
        job.mapping, job.spec, job.clock(), job.settings.partitions, target, root,
        None if raw is None else target_of(raw), job.memory_bytes,
    )  # fmt: skip
    pieces = [piece for file in opened for piece in file.pieces(_PIECE_ROWS)]
    staged = stage(job.runner, plan, pieces, rejected)
    _note_survey(job, staged.survey)
    return staged


def _write(
    job: Import, staged: Staged, files: Chosen, raw: Table | None, through_ms: int | None
) -> Written:
    """Steps 4 and 5; in a dry run, what they would write."""
    survey, sources = staged.survey, {file.source for file in files.new}
    merge = Merge(
        job.spec, job.runner, staged.runs, job.identified, not job.mapping.ingest_is_event,
        layout_of(job.settings, job.runner, job.memory_bytes // 2), frozenset(files.short),
    )  # fmt: skip
    if job.dry_run:
        base_id = None if raw is None else snapshots.main_id(raw)
        closed, _ = merge.merged(raw, base_id, writes=False)
        return written(closed)
    replaced_id = rejected_rows.replace(
        job.settings, survey.rejected_by_source, sources, staged.rejected, job.run.id
    )
    ids = {} if replaced_id is None else {tables.REJECTED: replaced_id}
    failpoint("after-rejected")
    done = Written(snapshots=ids)
    if survey.valid:
        done = retried(lambda: _commit(job, merge, survey, through_ms, ids))
    check_balance(survey, done)
    for source, rows in files.short.items():
        event(HEALED, "short import completed", f"{source}: {rows:,} rows")
    return done


def _commit(
    job: Import, merge: Merge, survey: Survey, claim_ms: int | None, ids: dict[str, int]
) -> Written:
    table = job.table(tables.RAW)
    base = snapshots.state(table)
    closed, replaced = merge.merged(table, base.snapshot_id)
    standing = sum(file.record_count for file in replaced)
    rows = sum(one.rows for one in closed)
    if sum(one.new for one in closed) != survey.valid or rows > standing + survey.valid:
        raise ImpressionsError(
            f"the import does not balance: {survey.valid:,} valid rows and {standing:,} that stood "
            f"in the same places, but {rows:,} to write",
            hint="nothing of it was committed; this is a defect, please report it",
            reason="unbalanced",
        )
    through_ms = None
    if claim_ms is not None and base.landed is None:
        through_ms = max(claim_ms, base.valid_through_ms or 0)
    said = snapshots.properties(snapshots.LAND, job.run.id, through_ms) | {
        "impressions.read": str(survey.read),
        "impressions.valid": str(survey.valid),
        "impressions.rejected": str(survey.read - survey.valid),
    }
    said |= expected.properties(survey.valid_by_source, survey.oldest_by_source)
    return written(closed, ids | {tables.RAW: commit(table, files_of(closed), said, replaced)})


def _note_survey(job: Import, survey: Survey) -> None:
    note = job.run.note
    for target, default in job.mapping.defaults.items():
        note(f"{target} is not mapped: {default}")
    for target, count in survey.defaults_taken.items():
        note(f"{target} is null in {count:,} rows: the default stands in")
    if job.mapping.ingest_is_event:
        note("ingest time = event time")
    for label, count in survey.rejected.items():
        note(f"{count:,} rows rejected: {label}")


def _through(job: Import, survey: Survey, landed: Landed | None, left_out: int) -> int | None:
    """How far raw is complete then, as far as these files say."""
    if survey.newest_ingest_ms is None:
        job.run.note(
            "no valid row: raw stays as it is. A wrong column or unit? Text ids need :hash"
        )
        return None
    begins_ms = overlap.topic_begins_ms(job.settings, landed)
    overlap.check_import(survey.newest_ingest_ms, begins_ms, job.settings.kafka.topic)
    newest_ms = survey.newest_ingest_ms
    return valid_through.valid_through_ms(job, newest_ms, landed, begins_ms, left_out)


def _landed(job: Import, raw: Table | None) -> Landed | None:
    """How far a topic is in raw; refuses a --valid-through where one is."""
    landed = None if raw is None else snapshots.state(raw).landed
    if job.valid_through_ms is not None:
        overlap.refuse_claim(landed)
    return landed
