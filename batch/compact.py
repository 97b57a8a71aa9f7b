"""`impressions compact`: a year of raw impressions becomes one published generation of ema.

One argument decides everything, the cutover; the clock is never asked.

    1. ready       raw is complete up to the cutover and every slot of the window is closed
                   batch/compacting/readiness.py
                   and no finding about its days stands    batch/compacting/quality_gate.py
    2. pin         the window as a branch of raw, its source tagged
                   batch/compacting/window_branch.py
    3. aggregate   one pass without an Exchange, onto an audit branch
                   batch/compacting/computing.py, batch/rules/aggregate.py
    4. audit       on that branch, before anybody can read it    batch/compacting/auditing.py
    5. publish     sign, fast-forward main, tag gen_<date>       batch/compacting/publishing.py

The same date again is a success that changes nothing, as long as the window's content is the same;
another content is never published under the same name. Killed anywhere, a second run finishes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from batch.closing.recording import record
from batch.compacting import publishing, quality_gate, readiness
from batch.compacting.auditing import Audited, audit, sign
from batch.compacting.computing import compute
from batch.compacting.job import Compacting
from batch.compacting.recompute import recompute as recomputed
from batch.compacting.window_branch import Survey
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import generations, tables
from batch.spark.progress import stages
from impressions.core.slot import parse_logical_date
from impressions.formats.generation_paths import generation_id
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.console import progress
from impressions.terminal.report import Outcome, start_run


@verb(job="compact")
def command(
    settings: Settings,
    logical_date: Annotated[
        str, typer.Option(help="The cutover: a UTC date, or a slot's start; exclusive.")
    ],
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Compute it again, compare, publish nothing.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Aggregate the year before a date, audit it and publish it as a generation.

    \b
    Examples:
      impressions compact --logical-date 2026-11-15
      impressions compact --logical-date 2026-11-15 --recompute
    """
    from batch.spark.session import using_spark

    cutover_ms = parse_logical_date(logical_date, settings.spec)
    this = start_run(
        "recompute" if recompute else "compact",
        {"logical_date": logical_date, "recompute": recompute},
    )
    with using_spark(settings, f"compact {generation_id(cutover_ms)}") as spark:
        job = Compacting(spark, settings, cutover_ms, this)
        outcome = recompute_published(job) if recompute else compact(job, dry_run=dry_run)
    this.report(outcome).emit(json=json, summary=_summary(outcome))


def compact(job: Compacting, *, dry_run: bool = False) -> Outcome:
    """Compute, audit and publish the generation, unless it is published already.

    Raises:
        NotReady: raw does not reach the cutover, or a slot is open.
        Refused: the date was published with another content, or main is past it.
        AuditFailed: a finding about the window's days stands, and nothing was computed; or an
            audit failed: main is untouched and the audit branch is kept.
    """
    hint = "impressions land --from-files PATH... --map FILE"
    raw = tables.require(job.settings, tables.RAW, hint)
    if not dry_run:
        tables.create_if_missing(job.settings, tables.EMA)
    known = generations.history(tables.find(job.settings, tables.EMA))
    if not dry_run:
        known = publishing.heal(job.spark, job.ema, known)
    with progress(f"survey {job.name}", unit="time"):
        window = readiness.window_of_main(job, raw)
    if generation := known.of(job.cutover_ms):
        readiness.require_same(job, generation, window)
        job.run.note(f"generation {job.name} is already published, nothing to do")
        return _outcome(job, "already published", window, generation.snapshot_id)
    readiness.require_later(job, known)
    readiness.require_closed(job, window)
    accepted = _ordinary(job, writes=not dry_run)
    if dry_run:
        return _outcome(job, "would compute", window)
    with stages(job.spark, f"aggregate {job.name}"):
        computed = compute(job, window)
    with stages(job.spark, f"audit {job.name}"):
        audited = audit(job, computed, known)
    sign(job, window, audited, accepted)
    with progress(f"publish {job.name}", unit="time"):
        snapshot_id = publishing.publish(job.spark, job.ema, job.cutover_ms)
    said = {"exchanges": computed.exchanges, "accepted": accepted} | _of_audits(audited)
    return _outcome(job, "published", window, snapshot_id, said, audited.entries)


def _ordinary(job: Compacting, *, writes: bool) -> list[str]:
    """Judges the days of the window; what somebody accepted of them. Raises AuditFailed."""
    context = Context(job.settings, job.run, Runner(), lambda: job.cutover_ms)
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


def recompute_published(job: Compacting) -> Outcome:
    """Compute a published generation again, compare, publish nothing. Raises as `recompute`."""
    with stages(job.spark, f"recompute {job.name}"):
        same = recomputed(job)
    said = {"exchanges": same.exchanges, "difference": asdict(same.difference)}
    return _outcome(job, "recomputed, the same", same.window, same.generation.snapshot_id, said)


def _of_audits(audited: Audited) -> dict[str, Any]:
    return {"audits": [asdict(one) for one in audited.findings], "totals": audited.totals}


def _outcome(
    job: Compacting,
    status: str,
    window: Survey,
    ema_id: int | None = None,
    said: dict[str, Any] | None = None,
    entries: int | None = None,
) -> Outcome:
    counts = {"slots": len(window.slots), "files": window.files, "rows": window.rows}
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
    return text


if __name__ == "__main__":
    run(command)
