"""`impressions export`: a published generation of ema becomes SST files and a manifest.

    1. plan        the tag gen_<date>: its snapshot, its files by shard and their rows (metadata)
    2. write       a task for each shard reads those files and writes SST files; Spark starts the
                   tasks and says which attempts count    batch/exporting/sst_input.py,
                                                          batch/exporting/sst_sink.py
    3. check       the winning attempts only: every shard, every row, key ranges disjoint
    4. manifest    report.json, then manifest.json, the last file: without it there is no generation

Run again, it packs the rows again without writing, compares the digests with the manifest's and
changes nothing. `--force` writes fresh files and replaces the manifest. Files that no manifest
lists (of attempts that died) are removed by `--sweep` once they are old enough.
"""

from __future__ import annotations

import json as jsonlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batch.exporting import sst_input
from batch.exporting.generation_directory import Directory, below, open_directory, shown
from batch.exporting.leftovers import SWEEP_AGE_HOURS, sweep_unlisted
from batch.exporting.sst_input import DataFile
from batch.lake import generations, tables
from batch.lake.generations import Generation
from batch.spark.progress import stages
from impressions.clock import Clock, now_ms
from impressions.core.errors import CorruptData, ImpressionsError, NotReady, Refused, UsageError
from impressions.core.slot import parse_logical_date
from impressions.core.spec import PARTITIONER
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import (
    MANIFEST,
    REPORT,
    cutover_of,
    generation_id,
    ref_name,
)
from impressions.formats.manifest import Manifest, SstFile
from impressions.process.command import DryRun, Json, run, verb
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.terminal.console import human_bytes, warn
from impressions.terminal.report import RunReport, start_report

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from batch.exporting.sst_sink import Plan, Written

ROLL_BYTES = 256 << 20
"""Bytes of blocks after which a shard's next file is begun."""


@verb
def command(
    settings: Settings,
    generation: Annotated[str | None, typer.Option(help="Name, such as 2026-11-15.")] = None,
    logical_date: Annotated[str | None, typer.Option(help="Its cutover, instead.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write it again although it is there.")
    ] = False,
    sweep_files: Annotated[
        bool, typer.Option("--sweep", help="Remove old files no manifest lists.")
    ] = False,
    sweep_age_hours: Annotated[
        float, typer.Option(min=0, help="How old those must be.")
    ] = SWEEP_AGE_HOURS,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write a published generation as SST files with a manifest.

    impressions export --generation 2026-11-15

    impressions export --logical-date 2026-11-15 --set generations_uri=s3://bucket/generations
    """
    from batch.spark.session import using_spark

    cutover_ms = _cutover_ms(settings, generation, logical_date)
    name = generation_id(cutover_ms)
    report = start_report("export", {"generation": name, "force": force, "dry_run": dry_run})
    with using_spark(settings, f"export {name}") as spark:
        job = Job.of(spark, settings, cutover_ms, report)
        export(job, force=force, dry_run=dry_run)
    if sweep_files:
        removed = sweep_unlisted(job.target, now_ms(), sweep_age_hours, dry_run=dry_run)
        report.counts["swept_files"] = len(removed)
    report.emit(json=json, summary=_summary(report))


@dataclass(frozen=True)
class Job:
    """What every step of one run knows."""

    spark: SparkSession
    settings: Settings
    cutover_ms: int
    report: RunReport
    target: Directory
    uri: str
    roll_bytes: int = ROLL_BYTES
    clock: Clock = now_ms

    @classmethod
    def of(cls, spark: SparkSession, settings: Settings, cutover_ms: int, report: RunReport) -> Job:
        uri = below(settings.generations, generation_id(cutover_ms))
        return cls(spark, settings, cutover_ms, report, open_directory(uri), uri)

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)

    @property
    def ema(self) -> str:
        return tables.full_name(self.settings, tables.EMA)

    @property
    def tag(self) -> str:
        return ref_name("gen", self.cutover_ms)

    def table(self) -> DataFrame:
        """The rows of the generation."""
        return self.spark.read.option("versionAsOf", self.tag).table(self.ema)


def export(job: Job, *, force: bool = False, dry_run: bool = False) -> RunReport:
    """Write the generation, or verify the one that is there.

    Raises:
        NotReady: the generation is not published in ema.
        Refused: what is there holds something else, or the settings are not those it was made with.
    """
    generation = _published(job)
    files = sst_input.data_files(job.spark, job.ema, job.tag)
    entries = sst_input.entries_per_shard(files, job.table)
    there = None if force else _manifest(job)
    job.report.snapshots |= {"raw": generation.source_id, "ema": generation.snapshot_id}
    job.report.extra |= {
        "generation": job.name,
        "uri": shown(job.uri),
        "audits": dict(generation.audits),
    }
    if dry_run:
        job.report.counts["entries"] = sum(entries.values())
        return _done(job, "would verify" if there else "would write")
    with stages(job.spark, f"{'verify' if there else 'export'} {job.name}"):
        written = _write(job, files, upload=there is None)
    made = _check(job, generation, entries, written)
    if there is not None:
        _require_same(there, made)
        _require_files(job, there)
        job.report.note(f"generation {job.name} is already exported, nothing to do")
        return _done(job, "already exported", there)
    _done(job, "written", made, changed=True)
    job.target.replace(REPORT, _json_line(job.report.finish()))
    failpoint("before-manifest")
    job.target.replace(MANIFEST, manifests.encode(made))
    return job.report


def check_complete(
    files: Sequence[SstFile], written: Mapping[int, int], expected: Mapping[int, int]
) -> None:
    """Refuse an export that is not the complete table.

    Args:
        files: ascending by (shard, min_key).
        written, expected: shard -> rows of the table; shards without rows are left out.
    """
    if written != expected:
        wrong = sorted(s for s in {*written, *expected} if written.get(s) != expected.get(s))
        raise Refused(
            f"shard {wrong[0]}: {written.get(wrong[0], 0)} rows of the table were written, "
            f"expected {expected.get(wrong[0], 0)} ({len(wrong)} shards differ)",
            reason="incomplete_export",
        )
    without_file = sorted(expected.keys() - {file.shard for file in files})
    if without_file:
        raise Refused(f"shards {without_file} have rows but no file", reason="incomplete_export")
    for one, other in pairwise(files):
        if one.shard == other.shard and one.max_key >= other.min_key:
            raise Refused(
                f"{one.path} ends at key {one.max_key} and {other.path} begins at "
                f"{other.min_key}: expected disjoint ranges",
                reason="overlapping_files",
            )


def _cutover_ms(settings: Settings, generation: str | None, logical_date: str | None) -> int:
    if (generation is None) == (logical_date is None):
        raise UsageError(
            "expected one of --generation and --logical-date",
            hint="impressions export --generation 2026-11-15",
        )
    if generation is not None:
        return cutover_of(generation)
    return parse_logical_date(str(logical_date), settings.spec)


def _published(job: Job) -> Generation:
    hint = f"impressions compact --logical-date {job.name}"
    known = generations.history(tables.require(job.settings, tables.EMA, hint))
    if job.cutover_ms in known.tagged:
        return known.tagged[job.cutover_ms]
    names = ", ".join(g.name for _, g in sorted(known.tagged.items())) or "none"
    raise NotReady(
        f"generation {job.name} is not published in {job.ema}; published: {names}",
        hint=hint,
        reason="not_published",
    )


def _manifest(job: Job) -> Manifest | None:
    data = job.target.read(MANIFEST)
    if data is None:
        return None
    try:
        there = manifests.decode(data, f"{shown(job.uri)}/{MANIFEST}")
    except CorruptData as error:
        raise CorruptData(
            error.message, hint="impressions export --force writes it again"
        ) from None
    manifests.check_fits(there, job.settings.spec, job.settings.partitions)
    return there


def _write(job: Job, files: Sequence[DataFile], *, upload: bool) -> list[Written]:
    """Run the sink; returns what the winning attempts wrote, by shard."""
    from batch.exporting.sst_sink import NAME, OPTION, SstSink, read_result
    from batch.spark.session import register_source

    with tempfile.TemporaryDirectory(prefix="impressions-export-") as local:
        plan = _plan(job, files, str(Path(local) / "result.json"), upload=upload)
        if plan.shards is None:
            rows = sst_input.rows_by_shard(job.table(), job.settings.partitions)
        else:
            rows = sst_input.numbered(job.spark, plan.shards)
        register_source(job.spark, SstSink)
        try:
            rows.write.format(NAME).option(OPTION, plan.encode()).mode("append").save()
        except Exception as error:  # py4j's, Spark's or Python's: whatever a task raised
            raise _failed(job, error) from error
        return read_result(Path(plan.result))


def _plan(job: Job, files: Sequence[DataFile], result: str, *, upload: bool) -> Plan:
    from batch.exporting.sst_sink import Plan

    table = sst_input.iceberg_table(job.spark, job.ema)
    storage = sst_input.storage_of(table, job.settings)
    if obstacle := sst_input.obstacle(files, table, storage):
        warn(f"{job.ema}: {obstacle}; Spark reads the rows, which takes longer")
    job.report.extra["read"] = obstacle or "data files"
    return Plan(
        directory=job.uri,
        result=result,
        cutover_ms=job.cutover_ms,
        slot_ms=job.settings.spec.slot_ms,
        spec_fingerprint=job.settings.spec.fingerprint,
        partitions=job.settings.partitions,
        run_id=job.report.run_id,
        roll_bytes=job.roll_bytes,
        upload=upload,
        shards=None if obstacle else sst_input.by_shard(files),
        storage=storage,
    )


def _failed(job: Job, error: Exception) -> ImpressionsError:
    """A task failed as often as Spark tries; the end of its Python traceback says why."""
    ends = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)", str(error))
    reason = ends[0] if ends else str(error).strip().partition("\n")[0]
    return ImpressionsError(
        f"generation {job.name}: a task of the export failed: {reason}",
        hint="nothing was published; after the cause is gone, run export again",
        reason="export_failed",
    )


def _check(
    job: Job, generation: Generation, entries: Mapping[int, int], written: Sequence[Written]
) -> Manifest:
    """The manifest of what was written, once that is known to be everything."""
    found = [file for part in written for file in part.files]
    files = tuple(sorted(found, key=lambda file: (file.shard, file.min_key)))
    check_complete(files, {part.shard: part.entries for part in written if part.entries}, entries)
    return Manifest(
        generation=job.name,
        cutover_ms=job.cutover_ms,
        spec_fingerprint=job.settings.spec.fingerprint,
        partitions=job.settings.partitions,
        partitioner=PARTITIONER,
        raw_snapshot_id=generation.source_id,
        ema_snapshot_id=generation.snapshot_id,
        profiles=sum(file.rows for file in files),
        entries=sum(entries.values()),
        created_ms=job.clock(),
        files=files,
        history_until_ms=generation.history_until_ms,
    )


def _require_same(there: Manifest, made: Manifest) -> None:
    """Refused unless both manifests list the same content."""

    def content(manifest: Manifest) -> list[tuple[int, str, str, int, str]]:
        return [(f.shard, f.min_key, f.max_key, f.rows, f.digest) for f in manifest.files]

    if content(there) == content(made) and there.cutover_ms == made.cutover_ms:
        return
    differ = len(set(content(there)) ^ set(content(made)))
    raise Refused(
        f"generation {made.generation} is exported already with other content: {differ} files "
        f"differ (made from ema snapshot {there.ema_snapshot_id}, now {made.ema_snapshot_id})",
        hint="hosts may have loaded it; `export --force` replaces it all the same",
        reason="content_differs",
    )


def _require_files(job: Job, there: Manifest) -> None:
    """Refused if a listed file is gone or has another size."""
    sizes = {stored.path: stored.size_bytes for stored in job.target.list()}
    for file in there.files:
        if sizes.get(file.path) != file.size_bytes:
            raise Refused(
                f"{shown(job.uri)}/{file.path}: {sizes.get(file.path, 'no')} bytes, "
                f"expected {file.size_bytes}",
                hint="impressions export --force writes the generation again",
                reason="missing_file",
            )


def _done(
    job: Job, status: str, manifest: Manifest | None = None, *, changed: bool = False
) -> RunReport:
    report = job.report
    report.changed = changed
    report.extra["status"] = status
    if manifest is not None:
        report.counts |= {
            "files": len(manifest.files),
            "profiles": manifest.profiles,
            "entries": manifest.entries,
            "bytes": manifest.size_bytes,
        }
    return report


def _json_line(report: RunReport) -> bytes:
    return (jsonlib.dumps(report.as_dict()) + "\n").encode()


def _summary(report: RunReport) -> str:
    counts, text = report.counts, f"{report.extra['generation']}: {report.extra['status']}"
    if "files" in counts:
        text += (
            f"; {counts['profiles']} profiles, {counts['entries']} entries in {counts['files']} "
            f"files, {human_bytes(counts['bytes'])}, at {report.extra['uri']}"
        )
    if "swept_files" in counts:
        text += f"; {counts['swept_files']} unlisted files swept"
    return text


if __name__ == "__main__":
    run(command)
