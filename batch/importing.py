"""History from files into raw: the import behind `impressions land --from-files`.

    1  files are found and named by the sha256 of their bytes; those already in raw are left out
    2  the mapping is checked against the columns, and each unit against the median of its column
    3  survey: one pass that judges every row and counts; nothing is written yet
    4  rejected rows -> impressions.rejected, replacing what a killed run left of the same files
    5  valid rows -> impressions.raw, in ONE commit that also carries valid-through and the counts

Killed anywhere, the same command finishes the work: before 5 raw knows nothing of the files, after
it they are imported and left out. The commit of 5 replaces every slot that the files touch with its
rows and theirs together in closed form (batch/closing.py), plus closed slots right after one, so
raw is never seen half flagged, and two imports give what one import of both files gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batch import closing, overlap, partitions, snapshots, tables
from batch.import_job import Import
from batch.imported import rows_by_source
from batch.landed import Landed
from batch.mapping import check_against
from batch.merging import merged, outcome_columns, write_raw
from batch.reading import check_units, judged
from batch.sources import SourceFile, find_files, group_files, identify
from batch.stages import stages
from batch.survey import Survey, survey
from batch.validity import reason_label
from impressions.clock import now_ms
from impressions.errors import ImpressionsError, UsageError
from impressions.event import Reason
from impressions.shell.failpoint import failpoint
from impressions.slot import format_utc, next_slot_ms

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_COUNTS = ("read", "applied", "duplicate", "rejected")


def run_import(job: Import) -> None:
    """Does all of it; fills the report.

    Raises:
        UsageError, MappingError, CorruptData: the files or the mapping; nothing was written.
        Refused: the tables belong to other settings.
    """
    files = identify(find_files(job.paths))
    for table in (tables.RAW, tables.REJECTED):
        if tables.exists(job.spark, job.settings, table):
            tables.check_fits(job.spark, job.settings, table)
    new = _without_imported(job, files)
    job.report.counts.update(dict.fromkeys(_COUNTS, 0), files=len(files), files_new=len(new))
    if not new:
        _only_valid_through(job)
        return
    landed = _landed(job)
    rows, found = _survey(job, new)
    begins_ms = overlap.topic_begins_ms(job.settings, landed)
    if found.newest_ingest_ms is not None:
        overlap.check_import(found.newest_ingest_ms, begins_ms, job.settings.kafka.topic)
    valid_through_ms = _valid_through(job, found)
    if job.dry_run:
        _count_without_writing(job, rows, found)
        return
    tables.create_if_missing(job.spark, job.settings, tables.RAW, tables.REJECTED)
    _replace_rejected(job, rows, found, [file.source for file in new])
    failpoint("after-rejected")
    if valid_through_ms is not None:
        claim_ms = overlap.claim_ms(valid_through_ms, job.settings, landed, begins_ms, now_ms)
        _note_claim(job, valid_through_ms, claim_ms)
        closing.retried(lambda: write_raw(job, rows, found, claim_ms))
        job.report.changed = True
    _balance(job)


def _landed(job: Import) -> Landed | None:
    """How far a topic is in raw; refuses a --valid-through where one is."""
    if not tables.exists(job.spark, job.settings, tables.RAW):
        return None
    landed = snapshots.state(job.spark, job.table(tables.RAW)).landed
    if job.valid_through_ms is not None:
        overlap.refuse_claim(landed)
    return landed


def _without_imported(job: Import, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Files that raw holds no row of; says which ones it does."""
    sources = [file.source for file in files]
    held = rows_by_source(job.spark, job.settings, tables.RAW, sources)
    rejected = rows_by_source(job.spark, job.settings, tables.REJECTED, sources) if held else {}
    for file in files:
        if file.source in held:
            where = f"WHERE source = '{file.source}'"
            job.report.note(
                f"{file.path}: already imported, {held[file.source]:,} rows in raw and "
                f"{rejected.get(file.source, 0):,} rejected; to import it again with another "
                f"mapping, delete them first: DELETE FROM {job.table(tables.RAW)} {where}; "
                f"DELETE FROM {job.table(tables.REJECTED)} {where}"
            )
    return [file for file in files if file.source not in held]


def _survey(job: Import, files: Sequence[SourceFile]) -> tuple[DataFrame, Survey]:
    groups = group_files(files)
    for group in groups:
        check_against(job.mapping, group.kinds, str(group.files[0].path))
    job.spark.conf.set("spark.sql.caseSensitive", "true")  # columns `a` and `A` are two
    with stages(job.spark, "check units"):
        for group in groups:
            check_units(job.spark, group, job.mapping)
    rows = judged(job.spark, groups, job.mapping, job.settings.spec)
    with stages(job.spark, "judge rows"):
        found = survey(rows)
    for target, default in job.mapping.defaults.items():
        job.report.note(f"{target} is not mapped: {default}")
    for target, count in found.defaulted.items():
        job.report.note(f"{target} is null in {count:,} rows: the default stands in")
    if job.mapping.ingest_is_event:
        job.report.note("ingest time = event time")
    for label, count in found.rejected.items():
        job.report.note(f"{count:,} rows rejected: {label}")
    job.report.counts.update(read=found.read, rejected=sum(found.rejected.values()))
    job.report.extra.update(
        rejected_by_reason=found.rejected, defaulted=found.defaulted, slots=len(found.slots)
    )
    return rows, found


def _valid_through(job: Import, found: Survey) -> int | None:
    """How far raw is complete after this import; says so."""
    if found.newest_ingest_ms is None:
        job.report.note(
            "no valid row: raw stays as it is. A wrong column or unit? Text ids need :hash"
        )
        return None
    needed_ms = next_slot_ms(found.newest_ingest_ms, job.settings.spec)
    if job.valid_through_ms is None:
        chosen = needed_ms
        job.report.note(f"valid through {format_utc(chosen)}: the slot after the newest row")
    else:
        chosen = job.valid_through_ms
        if chosen < needed_ms:
            raise UsageError(
                f"--valid-through {format_utc(chosen)}: the files hold rows ingested at "
                f"{format_utc(found.newest_ingest_ms)}, expected {format_utc(needed_ms)} or later",
                hint=f"--valid-through {format_utc(needed_ms)}",
            )
    if chosen > now_ms() + job.settings.spec.slot_ms:
        job.report.note("that is in the future: is the unit, or a device's clock, wrong?")
    job.report.extra["valid_through"] = format_utc(chosen)
    return chosen


def _note_claim(job: Import, chosen_ms: int, claim_ms: int | None) -> None:
    topic = job.settings.kafka.topic
    if claim_ms is None:
        job.report.extra.pop("valid_through", None)
        job.report.note(f"how far raw is complete is for topic {topic} to say: impressions land")
    elif claim_ms < chosen_ms:
        job.report.extra["valid_through"] = format_utc(claim_ms)
        job.report.note(
            f"valid through {format_utc(claim_ms)} only: from then on topic {topic} may hold more"
        )


def _replace_rejected(job: Import, rows: DataFrame, found: Survey, sources: Sequence[str]) -> None:
    """Make the rejected table hold what these files reject now, whatever an earlier run left."""
    expected = found.rejected_by_source
    held = rows_by_source(job.spark, job.settings, tables.REJECTED, sources)
    if stale := sorted(held.keys() - expected.keys()):
        named = ", ".join(f"'{source}'" for source in stale)
        job.spark.sql(f"DELETE FROM {job.table(tables.REJECTED)} WHERE source IN ({named})")
        job.report.changed = True
    if changed := [source for source in expected if held.get(source) != expected[source]]:
        write_rejected(job, rows, changed)
        job.report.changed = True


def write_rejected(job: Import, rows: DataFrame, sources: Sequence[str]) -> None:
    """Replaces the rejected rows of these files, in one commit."""
    from pyspark.sql import functions as F

    ingest_ms = F.col("ingest_ms")
    rejected = rows.where(
        (F.col("reason") != int(Reason.OK)) & F.col("source").isin(list(sources))
    ).select(
        "source",
        "file",
        "row_number",
        reason_label(F.col("reason")).alias("reason"),
        F.timestamp_millis(partitions.history_start_ms(ingest_ms)).alias("ingest_slot"),
        F.col("row_json").alias("row"),
    )
    name = job.table(tables.REJECTED)
    base = snapshots.ref_snapshot_id(job.spark, name)
    properties = {snapshots.OPERATION: snapshots.LAND, snapshots.RUN_ID: job.report.run_id}
    whole = tables.shaped(rejected, tables.REJECTED, job.spec).repartition("source")
    with stages(job.spark, "write rejected rows"):
        snapshots.overwrite_partitions(whole, name, base, properties)
    job.report.snapshots["rejected"] = snapshots.ref_snapshot_id(job.spark, name)


def _count_without_writing(job: Import, rows: DataFrame, found: Survey) -> None:
    """The counts of a dry run."""
    if not found.valid:
        return
    base = snapshots.State(None, None)
    if tables.exists(job.spark, job.settings, tables.RAW):
        tables.check_fits(job.spark, job.settings, tables.RAW)
        base = snapshots.state(job.spark, job.table(tables.RAW))
    with stages(job.spark, "count"):
        counted = merged(job, rows, found, base).rows.agg(*outcome_columns()).collect()[0]
    job.report.counts.update(counted.asDict())


def _only_valid_through(job: Import) -> None:
    """Nothing to import, but the caller may say that nothing more is to come until a time."""
    job.report.note("nothing to import")
    if job.valid_through_ms is None or job.dry_run:
        return
    name = job.table(tables.RAW)
    base = snapshots.state(job.spark, name)
    overlap.refuse_claim(base.landed)
    if job.valid_through_ms <= (base.valid_through_ms or 0):
        return
    properties = {
        snapshots.OPERATION: snapshots.LAND,
        snapshots.RUN_ID: job.report.run_id,
        snapshots.VALID_THROUGH: str(job.valid_through_ms),
    }
    empty = job.spark.table(name).limit(0)
    snapshots.writer(empty, name, properties).append()
    job.report.changed = True
    job.report.snapshots[tables.RAW] = snapshots.ref_snapshot_id(job.spark, name)
    job.report.note(f"valid through {format_utc(job.valid_through_ms)}")


def _balance(job: Import) -> None:
    """read = applied + duplicate + rejected: nothing is lost, nothing comes from nowhere."""
    counts = job.report.counts
    parts = {name: counts[name] for name in ("applied", "duplicate", "rejected")}
    if counts["read"] != sum(parts.values()):
        told = " + ".join(f"{count:,} {name}" for name, count in parts.items())
        raise ImpressionsError(
            f"the import does not balance: read {counts['read']:,} rows, but {told}",
            hint="this is a defect, please report it with the run report",
            reason="unbalanced",
        )
