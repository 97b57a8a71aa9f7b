"""The batch steps of `impressions week`, each what its verb does (impressions/steps/step.py).

    land       the topic until raw is valid through the logical date; or files
    close      slots that are over
    quality    the days of the window are judged; a finding that blocks ends the run (exit code 6)
    compact    the generation, unless it is published; its files are written in the same pass
    export     its files, where they are not there

A published generation is never computed again, also where raw has changed since: its files are
made of it, and the next one has the change. Dates that earlier runs missed are not computed
afterwards: a generation holds the whole year, so this one holds their events too; their slots are
landed, closed and judged now.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch.closing.recording import record
from batch.closing.request import Request
from batch.compacting import publishing, quality_gate
from batch.jobs.context import Context
from batch.jobs.tasks import runner_of_submission
from batch.lake import generations, tables
from batch.lake.generations import Generation, History
from batch.quality import review
from impressions.core.errors import CorruptData, NotReady
from impressions.core.slot import format_utc
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import MANIFEST
from impressions.history.run_record import HEALED
from impressions.process.recording import event
from impressions.steps.asked import Week
from impressions.steps.dates import missed_names
from impressions.steps.step import Done
from impressions.storage.directory import below, open_directory, shown
from impressions.terminal.listening import tell
from impressions.terminal.report import Outcome, Run, start_run

if TYPE_CHECKING:
    from batch.landing.outcome import Round

_EVERY_S = 10.0


def land(week: Week) -> Done:
    """Bring in what was ingested before the logical date."""
    from impressions.kafka.client import find_bootstrap

    if week.from_files is not None:
        return _import(week, week.from_files)
    if find_bootstrap(week.settings) is None:
        return _without_topic(week)
    return _from_topic(week)


def _from_topic(week: Week) -> Done:
    """Rounds until raw is valid through the date. One that read nothing and has not got there is
    tried again, for ten minutes (batch/landing/loop.py)."""
    from batch.landing import loop
    from batch.landing.job import Landing
    from batch.landing.outcome import outcome_of, summary
    from batch.landing.round import land, look
    from batch.landing.tally import Tally

    run = start_run("land", {"until": week.name, "dry_run": week.dry_run})
    job = Landing(week.settings, run, runner_of_submission(), week.clock, week.cutover_ms)
    rounds: list[Round] = []

    def one_round() -> int:
        rounds.append(land(job))
        last = rounds[-1]
        if last.through_ms < week.cutover_ms and not last.done.records:
            raise _not_valid_through(week, last.through_ms)
        return last.through_ms

    if week.dry_run:
        rounds.append(look(job))
    else:
        every_s = min(_EVERY_S, max(1.0, week.settings.land.clock_margin_s))
        loop.repeat(one_round, every_s, week.cutover_ms, threading.Event())
    whole = replace(rounds[-1], done=sum((one.done for one in rounds), Tally()))
    outcome = outcome_of(whole, dry_run=week.dry_run)
    line = summary(run.report(outcome), dry_run=week.dry_run)
    would = week.dry_run and whole.done.records > 0
    if whole.done.repaired:
        line += f"; {whole.done.repaired:,} rows that were gone came back"
    return _done(run, outcome, line, changed=would or outcome.changed)


def _without_topic(week: Week) -> Done:
    """No topic and no files: raw may have all it needs from imports."""
    from batch.lake import snapshots

    raw = tables.find(week.settings, tables.RAW)
    through_ms = None if raw is None else snapshots.state(raw).valid_through_ms
    if (through_ms or 0) < week.cutover_ms:
        raise _not_valid_through(week, through_ms or 0)
    return Done(f"no topic is configured; raw is valid through {format_utc(through_ms or 0)}")


def _not_valid_through(week: Week, through_ms: int) -> NotReady:
    reach = f"up to {format_utc(through_ms)}" if through_ms else "nowhere yet"
    return NotReady(
        f"raw is complete {reach}, expected at least {format_utc(week.cutover_ms)}",
        hint="is a clock wrong, or the broker's behind? impressions status; without a topic: "
        "impressions week --from-files PATH --mapping FILE",
        reason="not_valid_through",
    )


def _import(week: Week, given: Any) -> Done:
    from batch.importing.job import Import
    from batch.importing.outcome import summary
    from batch.importing.run import run_import
    from batch.mapping.grammar import read_mapping

    mapping = read_mapping([], given["mapping"])
    arguments = {"from_files": given["paths"], "mapping": mapping.as_dict()}
    run = start_run("import", {**arguments, "dry_run": week.dry_run})
    job = Import(
        week.settings, run, runner_of_submission(), week.clock, given["paths"], mapping,
        dry_run=week.dry_run,
    )  # fmt: skip
    outcome = run_import(job)
    would = week.dry_run and outcome.counts["files_new"] > 0
    line = summary(run.report(outcome), dry_run=week.dry_run)
    return _done(run, outcome, line, changed=would or outcome.changed)


def close(week: Week) -> Done:
    """Close every slot that is over."""
    from batch.close import run_close

    context = _context(week, "close")
    outcome = run_close(context, Request((), None, False), dry_run=week.dry_run)
    slots = outcome.counts["slots"]
    verb = "would close" if week.dry_run else "closed"
    line = f"{verb} {slots:,} slots ({outcome.counts['rows']:,} rows)"
    line = line if slots else "every slot that is over is closed"
    would = week.dry_run and slots > 0
    return _done(context.run, outcome, line, changed=would or outcome.changed)


def quality(week: Week) -> Done:
    """Judge the days of the window, as `compact` would. Raises AuditFailed: a finding blocks."""
    if _published(week) is not None:
        return Done("judged when the generation was published")
    context = _context(week, "quality")
    recorded = record(
        context, until_ms=week.cutover_ms, everything=True, writes=not week.dry_run
    )  # fmt: skip
    verdict = quality_gate.require_ordinary(week, recorded.kept)
    changed = bool(recorded.days)
    said = Outcome(changed, {"days_recorded": len(recorded.days)}, {}, review.as_document(verdict))
    return _done(context.run, said, review.summary(verdict), changed=changed)


def compact(week: Week) -> Done:
    """Compute, audit and publish the generation."""
    from batch.compact import compact as run_compact
    from batch.compacting.job import Compacting
    from batch.exporting.job import Exporting

    known = _history(week)
    if week.cutover_ms in known.tagged:
        return Done(f"{week.name} is published", report={"status": "already published"})
    missed = _missed(week, known)
    run = start_run("compact", {"logical_date": week.name, "dry_run": week.dry_run})
    runner = runner_of_submission()
    job = Compacting(week.settings, week.cutover_ms, run, runner)
    exporting = Exporting.of(week.settings, week.cutover_ms, run, runner)
    outcome = run_compact(job, exporting, dry_run=week.dry_run)
    if missed and outcome.changed:
        event(HEALED, "missed weekly run made up", ", ".join(missed))
    counts = outcome.counts
    line = f"{outcome.extra['status']} {week.name}: {counts['rows']:,} rows"
    line += f" -> {counts['entries']:,} entries" if "entries" in counts else ""
    line += f"; makes up for {', '.join(missed)}" if missed else ""
    outcome = replace(outcome, extra={**outcome.extra, "missed": missed})
    return _done(run, outcome, line, changed=week.dry_run or outcome.changed)


def export(week: Week) -> Done:
    """Write the generation's files and manifest."""
    from batch.export import export as run_export
    from batch.exporting.job import Exporting

    generation = _published(week)
    if generation is not None and _is_exported(week, generation):
        return Done(f"{week.name} is exported", report={"status": "already exported"})
    if generation is None and week.dry_run:
        raise NotReady(f"generation {week.name} is not published", reason="not_published")
    run = start_run("export", {"generation": week.name, "dry_run": week.dry_run})
    job = Exporting.of(week.settings, week.cutover_ms, run, runner_of_submission())
    outcome = run_export(job, dry_run=week.dry_run)
    line = f"{outcome.extra['status']} {week.name}: {outcome.counts['entries']:,} entries"
    return _done(run, outcome, line, changed=week.dry_run or outcome.changed)


def _is_exported(week: Week, generation: Generation) -> bool:
    """Whether a manifest made of exactly this snapshot is there with all its files. Anything else
    is for the export to judge, which reads the rows."""
    uri = below(week.settings.generations, week.name)
    target = open_directory(uri)
    data = target.read(MANIFEST)
    if data is None:
        return False
    try:
        there = manifests.decode(data, f"{shown(uri)}/{MANIFEST}")
    except CorruptData:
        return False
    sizes = {stored.path: stored.size_bytes for stored in target.list()}
    return not there.lacking(sizes) and there.ema_snapshot_id == generation.snapshot_id


def _history(week: Week) -> History:
    """What is published, once what a crash left of a publication is finished."""
    ema = tables.find(week.settings, tables.EMA)
    known = generations.history(ema)
    return known if ema is None or week.dry_run else publishing.heal(ema, known)


def _published(week: Week) -> Generation | None:
    """The generation of the date, once it has its tag."""
    return _history(week).tagged.get(week.cutover_ms)


def _missed(week: Week, known: History) -> list[str]:
    """Weekly dates between the generation before and this one."""
    before = known.before(week.cutover_ms, 1)
    return missed_names(before[0].cutover_ms, week.cutover_ms) if before else []


def _context(week: Week, job: str) -> Context:
    run = start_run(job, {"dry_run": week.dry_run})
    return Context(week.settings, run, runner_of_submission(), week.clock)


def _done(run: Run, outcome: Outcome, line: str, *, changed: bool) -> Done:
    report = run.report(outcome)
    tell(report)
    return Done(line, changed, report.as_dict())
