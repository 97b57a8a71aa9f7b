"""`impressions compact`: a year of raw impressions becomes one published generation of ema.

One argument decides everything, the cutover; the clock is never asked.

    1. ready       raw is complete up to the cutover and every slot of the window is closed
                   batch/compacting/readiness.py
                   and no finding about its days stands    batch/compacting/quality_gate.py
    2. compute     a task for each (shard, range of profiles): reads its sorted files, adds up,
                   counts what the audits ask, writes its rows, onto an audit branch
                   batch/compacting/computing.py, part.py
                   from all of raw, or from the generation before, shard by shard
                   batch/compacting/incremental
    3. audit       before anybody can read it              batch/compacting/auditing.py
    4. publish     sign, fast-forward main, tag gen_<date>  batch/compacting/publishing.py
    5. export      with --export: the SST files that the same tasks packed get their manifest

A plain process; spark-submitted, its tasks are those of a cluster. The same date again is a success
that changes nothing, as long as the window's content is the same; another content is never
published under the same name. Killed anywhere, a second run finishes.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch import export as exports
from batch.closing.recording import record
from batch.compacting import publishing, quality_gate, readiness
from batch.compacting.auditing import Audited, audit, sign
from batch.compacting.computing import Computed, compute
from batch.compacting.incremental import report
from batch.compacting.job import Compacting
from batch.compacting.recompute import recompute as recomputed
from batch.compacting.window import Window
from batch.exporting.job import Exporting
from batch.exporting.shards import Written
from batch.exporting.verifying import manifest_there
from batch.jobs.context import Context
from batch.jobs.tasks import runner_of_submission
from batch.lake import generations, tables
from impressions.core.slot import parse_logical_date
from impressions.formats.generation_paths import generation_id
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.console import progress
from impressions.terminal.report import Outcome, start_run

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import SparkSession


@verb(job="compact")
def command(
    settings: Settings,
    logical_date: Annotated[
        str, typer.Option(help="The cutover: a UTC date, or a slot's start; exclusive.")
    ],
    export: Annotated[
        bool, typer.Option("--export", help="Export it too, in the same pass over the rows.")
    ] = False,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Take nothing from the generation before."),
    ] = False,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Compute it again in Spark, compare, publish nothing."),
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Aggregate the year before a date, audit it and publish it as a generation.

    \b
    Examples:
      impressions compact --logical-date 2026-11-15 --export
      impressions compact --logical-date 2026-11-15 --recompute
    """
    cutover_ms = parse_logical_date(logical_date, settings.spec)
    said = {"logical_date": logical_date, "export": export, "recompute": recompute}
    said["from_scratch"] = from_scratch
    this = start_run("recompute" if recompute else "compact", said)
    if recompute:
        from batch.spark.session import using_spark

        with using_spark(settings, f"compact {generation_id(cutover_ms)}") as spark:
            outcome = recompute_published(Compacting(settings, cutover_ms, this), spark)
    else:
        runner = runner_of_submission()
        job = Compacting(settings, cutover_ms, this, runner, from_scratch)
        exporting = Exporting.of(settings, cutover_ms, this, runner) if export else None
        outcome = compact(job, exporting, dry_run=dry_run)
    this.report(outcome).emit(json=json, summary=_summary(outcome))


def compact(
    job: Compacting, exporting: Exporting | None = None, *, dry_run: bool = False
) -> Outcome:
    """Compute, audit and publish the generation, unless it is published already.

    Args:
        exporting: with it, the generation is exported too.

    Raises:
        NotReady: raw does not reach the cutover, or a slot is open.
        Refused: the date was published with another content, or main is past it.
        AuditFailed: a finding about the window's days stands, and nothing was computed; or an
            audit failed: main is untouched and the audit branch is kept.
    """
    hint = "impressions land --from-files PATH... --map FILE"
    raw = tables.require(job.settings, tables.RAW, hint)
    if dry_run:
        ema = tables.find(job.settings, tables.EMA)
    else:
        [ema] = tables.create_if_missing(job.settings, tables.EMA)
    known = generations.history(ema)
    if ema is not None and not dry_run:
        known = publishing.heal(ema, known)
    with progress(f"survey {job.name}", unit="time"):
        window = readiness.window_of_main(job, raw)
    if generation := known.of(job.cutover_ms):
        readiness.require_same(job, generation, window)
        job.run.note(f"generation {job.name} is already published, nothing to do")
        done = _outcome(job, "already published", window, generation.snapshot_id)
        return _with_export(done, exporting, dry_run=dry_run)
    readiness.require_later(job, known)
    readiness.require_closed(job, window)
    accepted = _ordinary(job, writes=not dry_run)
    if ema is None or dry_run:
        return _outcome(job, "would compute", window)
    return _computed(job, exporting, window, ema, known, accepted)


def _computed(
    job: Compacting,
    exporting: Exporting | None,
    window: Window,
    ema: Table,
    known: generations.History,
    accepted: list[str],
) -> Outcome:
    """Computes, audits, publishes, and lists the SST files that were packed meanwhile."""
    # What lies there already is compared with, not written over.
    packs = exporting is not None and manifest_there(exporting) is None
    packing = exporting.packing() if exporting is not None and packs else None
    computed = compute(job, window, ema, packing, known.main)
    audited = audit(job, computed, window, ema, known)
    sign(job, window, ema, audited, accepted, report.record_of(computed.forms, known.main))
    with progress(f"publish {job.name}", unit="time"):
        snapshot_id = publishing.publish(ema, job.cutover_ms)
    said = {"parts": computed.parts, "accepted": accepted} | _of_audits(audited)
    said |= {"forms": report.as_dicts(computed.forms), "shards": report.words(computed.forms)}
    done = _outcome(job, "published", window, snapshot_id, said, audited.entries)
    if exporting is None or not packs:
        return _with_export(done, exporting)
    return _joined(done, exports.publish(exporting, _written(computed), _entries(computed)))


def _written(computed: Computed) -> list[Written]:
    shards = sorted(computed.facts)
    files = {s: tuple(file for file in computed.sst if file.shard == s) for s in shards}
    return [Written(s, computed.packed[s], files[s]) for s in shards]


def _entries(computed: Computed) -> dict[int, int]:
    return {shard: rows for shard, rows in computed.rows.items() if rows}


def _with_export(done: Outcome, exporting: Exporting | None, *, dry_run: bool = False) -> Outcome:
    if exporting is None or dry_run:
        return done
    return _joined(done, exports.export(exporting))


def _joined(done: Outcome, exported: Outcome) -> Outcome:
    """One report of both."""
    keys = ("status", "uri")
    return replace(
        done,
        changed=done.changed or exported.changed,
        counts={**done.counts, **{f"sst_{k}": n for k, n in exported.counts.items()}},
        extra={**done.extra, "export": {key: exported.extra[key] for key in keys}},
    )


def _ordinary(job: Compacting, *, writes: bool) -> list[str]:
    """Judges the days of the window; what somebody accepted of them. Raises AuditFailed."""
    context = Context(job.settings, job.run, job.runner, lambda: job.cutover_ms)
    recorded = record(context, until_ms=job.cutover_ms, everything=True, writes=writes)
    if recorded.days:
        job.run.note(
            f"{len(recorded.days):,} days had no rows of impressions.quality and were counted; "
            "`impressions quality --backfill` does that ahead"
        )
    if changed := quality_gate.changed_bounds(job):
        job.run.note(f"the days are judged with other bounds than the defaults: {changed}")
    verdict = quality_gate.require_ordinary(job, recorded.kept)
    return quality_gate.accepted_in(recorded.kept, verdict)


def recompute_published(job: Compacting, spark: SparkSession) -> Outcome:
    """Compute a published generation again, compare, publish nothing. Raises as `recompute`."""
    with progress(f"recompute {job.name}", unit="time"):
        same = recomputed(job, spark)
    said = {"difference": asdict(same.difference)}
    return _outcome(job, "recomputed, the same", same.window, same.generation.snapshot_id, said)


def _of_audits(audited: Audited) -> dict[str, Any]:
    return {"audits": [asdict(one) for one in audited.findings], "totals": audited.totals}


def _outcome(
    job: Compacting,
    status: str,
    window: Window,
    ema_id: int | None = None,
    said: dict[str, Any] | None = None,
    entries: int | None = None,
) -> Outcome:
    counts = {"slots": len(window.slots), "files": len(window.files), "rows": window.rows}
    return Outcome(
        changed=status == "published",
        counts=({} if entries is None else {"entries": entries}) | counts,
        snapshots={"raw": window.source_id, "ema": ema_id},
        extra=(said or {})
        | {
            "generation": job.name,
            "cutover_ms": job.cutover_ms,
            "status": status,
            "window": {"digest": window.digest, "outside_files": window.outside},
        },
    )


def _summary(outcome: Outcome) -> str:
    counts, extra = outcome.counts, outcome.extra
    text = (
        f"{extra['generation']}: {extra['status']}; "
        f"{counts['rows']} rows of raw in {counts['slots']} slots"
    )
    if "entries" in counts:
        text += f" -> {counts['entries']} entries, {len(extra['audits'])} audits passed"
    if extra.get("shards"):
        text += f"; {extra['shards']}"
    if "export" in extra:
        text += f"; export: {extra['export']['status']}, at {extra['export']['uri']}"
    return text


if __name__ == "__main__":
    run(command)
