"""`impressions export`: a published generation of ema becomes SST files and a manifest.

    1. plan        the tag gen_<date>: its snapshot, its files by shard and their rows (metadata)
    2. write       a task for each shard reads those files and writes SST files
                   batch/exporting/shards.py, sst_files.py
    3. check       what the tasks returned: every shard, every row, key ranges disjoint
                   batch/exporting/verifying.py
    4. manifest    report.json, then manifest.json, the last file: without it there is no generation

A plain process; spark-submitted, its tasks are those of a cluster. `compact --export` does the same
in the pass that computes the rows. Run again, it packs the rows again without writing, compares the
digests with the manifest's and changes nothing. `--force` writes new files and replaces the
manifest. Files that no manifest lists (of attempts that died) are removed by `--sweep` once they
are old enough.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch.exporting import verifying
from batch.exporting.job import Exporting
from batch.exporting.leftovers import SWEEP_AGE_HOURS, sweep_unlisted
from batch.exporting.shards import Shard, Written, by_shard, entries_of, pack_shard
from batch.jobs.same_spec import SpecOf
from batch.jobs.tasks import runner_of_submission
from batch.lake import generations, tables
from batch.lake.data_file_writer import target_of
from batch.lake.data_files import live_files
from batch.lake.generations import Generation
from impressions.clock import now_ms
from impressions.core.errors import ImpressionsError, NotReady, UsageError
from impressions.core.slot import parse_logical_date
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import MANIFEST, REPORT, cutover_of, generation_id
from impressions.formats.manifest import Manifest
from impressions.process.command import DryRun, Json, run, verb
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.storage.directory import shown
from impressions.terminal.console import human_bytes
from impressions.terminal.report import Outcome, Report, start_run

if TYPE_CHECKING:
    from pyiceberg.table import Table

_Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Write it again and replace its manifest. The old manifest is lost: hosts that "
        "loaded the generation before keep other content under the same name.",
    ),
]


@verb(job="export")
def command(
    settings: Settings,
    generation: Annotated[str | None, typer.Option(help="Name, such as 2026-11-15.")] = None,
    logical_date: Annotated[
        str | None, typer.Option(help="Its cutover instead of its name.")
    ] = None,
    force: _Force = False,
    sweep_files: Annotated[
        bool,
        typer.Option("--sweep", help="Delete files of stopped exports: no manifest lists them."),
    ] = False,
    sweep_age_hours: Annotated[
        float, typer.Option(min=0, help="Younger files may belong to an export that runs.")
    ] = SWEEP_AGE_HOURS,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write a published generation as SST files with a manifest.

    \b
    Examples:
      impressions export --generation 2026-11-15
      impressions export --logical-date 2026-11-15 --set generations_uri=s3://bucket/generations
    """
    cutover_ms = _cutover_ms(settings, generation, logical_date)
    name = generation_id(cutover_ms)
    this = start_run("export", {"generation": name, "force": force, "dry_run": dry_run})
    job = Exporting.of(settings, cutover_ms, this, runner_of_submission())
    outcome = export(job, force=force, dry_run=dry_run)
    if sweep_files:
        removed = sweep_unlisted(job.target, now_ms(), sweep_age_hours, dry_run=dry_run)
        outcome = replace(outcome, counts={**outcome.counts, "swept_files": len(removed)})
    this.report(outcome).emit(json=json, summary=_summary(outcome))


def export(job: Exporting, *, force: bool = False, dry_run: bool = False) -> Outcome:
    """Write the generation, or verify the one that is there.

    Raises:
        NotReady: the generation is not published in ema.
        Refused: what is there holds something else, or the settings are not those it was made with.
    """
    generation, ema = _published(job)
    files = by_shard(live_files(ema, generation.snapshot_id))
    target = target_of(ema)
    counted = {shard: entries_of(of, target) for shard, of in files.items()}
    entries = {shard: rows for shard, rows in counted.items() if rows}
    there = None if force else verifying.manifest_there(job)
    if dry_run:
        status = "would verify" if there else "would write"
        return _outcome(job, generation, status, {"entries": sum(entries.values())})
    tasks = [
        Shard(
            shard=shard,
            partitions=job.settings.partitions,
            files=of,
            target=target,
            spec=SpecOf.of(job.settings.spec),
            packing=job.packing(upload=there is None, begins=_begins(there, shard)),
        )
        for shard, of in files.items()
    ]
    written = _run(job, f"{'verify' if there else 'export'} {job.name}", tasks)
    if there is None:
        return publish(job, written, entries)
    made = verifying.manifest_of(job, generation, entries, written)
    verifying.require_same(there, made)
    verifying.require_files(job, there)
    job.run.note(f"generation {job.name} is already exported, nothing to do")
    return _outcome(job, generation, "already exported", _counts(there))


def _run(job: Exporting, what: str, tasks: Sequence[Shard]) -> list[Written]:
    try:
        return job.runner.run(what, pack_shard, tasks)
    except ImpressionsError:
        raise
    except Exception as error:  # of the store, or of a file of the table
        raise ImpressionsError(
            f"generation {job.name}: a task of the export failed: {type(error).__name__}: {error}",
            hint="nothing was published; after the cause is gone, run export again",
            reason="export_failed",
        ) from error


def publish(job: Exporting, written: Sequence[Written], entries: Mapping[int, int]) -> Outcome:
    """Checks files that are there, and lists them: the generation is exported from then on.

    Args:
        entries: shard -> rows of the table.
    """
    generation, _ = _published(job)
    made = verifying.manifest_of(job, generation, entries, written)
    outcome = _outcome(job, generation, "written", _counts(made))
    job.target.replace(REPORT, _json_line(job.run.report(outcome)))
    failpoint("before-manifest")
    job.target.replace(MANIFEST, manifests.encode(made))
    return outcome


def _begins(there: Manifest | None, shard: int) -> frozenset[str] | None:
    """Where the files of a manifest begin: the same rows are cut where they were."""
    if there is None:
        return None
    return frozenset(file.min_key for file in there.files if file.shard == shard)


def _cutover_ms(settings: Settings, generation: str | None, logical_date: str | None) -> int:
    if (generation is None) == (logical_date is None):
        raise UsageError(
            "expected one of --generation and --logical-date",
            hint="impressions export --generation 2026-11-15",
        )
    if generation is not None:
        return cutover_of(generation)
    return parse_logical_date(str(logical_date), settings.spec)


def _published(job: Exporting) -> tuple[Generation, Table]:
    hint = f"impressions compact --logical-date {job.name}"
    ema = tables.require(job.settings, tables.EMA, hint)
    known = generations.history(ema)
    if job.cutover_ms in known.tagged:
        return known.tagged[job.cutover_ms], ema
    names = ", ".join(g.name for _, g in sorted(known.tagged.items())) or "none"
    raise NotReady(
        f"generation {job.name} is not published in {job.ema}; published: {names}",
        hint=hint,
        reason="not_published",
    )


def _counts(manifest: Manifest) -> dict[str, int]:
    return {
        "files": len(manifest.files),
        "profiles": manifest.profiles,
        "entries": manifest.entries,
        "bytes": manifest.size_bytes,
    }


def _outcome(
    job: Exporting,
    generation: Generation,
    status: str,
    counts: Mapping[str, int],
) -> Outcome:
    said: dict[str, Any] = {
        "generation": job.name,
        "uri": shown(job.uri),
        "audits": dict(generation.audits),
    }
    return Outcome(
        changed=status == "written",
        counts=counts,
        snapshots={"raw": generation.source_id, "ema": generation.snapshot_id},
        extra=said | {"status": status},
    )


def _json_line(report: Report) -> bytes:
    return (jsonlib.dumps(report.as_dict()) + "\n").encode()


def _summary(outcome: Outcome) -> str:
    counts, text = outcome.counts, f"{outcome.extra['generation']}: {outcome.extra['status']}"
    if "files" in counts:
        text += (
            f"; {counts['profiles']} profiles, {counts['entries']} entries in {counts['files']} "
            f"files, {human_bytes(counts['bytes'])}, at {outcome.extra['uri']}"
        )
    if "swept_files" in counts:
        text += f"; {counts['swept_files']} unlisted files swept"
    return text


if __name__ == "__main__":
    run(command)
