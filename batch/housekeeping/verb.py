"""`impressions housekeeping`: removes what neither a rollback, nor a tag, nor a window needs."""

from __future__ import annotations

from batch.housekeeping.removed import said, summary
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from impressions.clock import now_ms
from impressions.process.command import DryRun, Json, run, verb
from impressions.process.recording import event
from impressions.settings.model import Settings
from impressions.terminal.report import start_run

CLEANED = "cleaned"
"""The kind of event that the history keeps of each rule that removed something."""


@verb(job="housekeeping")
def command(settings: Settings, dry_run: DryRun = False, json: Json = False) -> None:
    """Remove what nobody needs any more: old generations, snapshots, files, rows.

    Safe beside every other command. What stays is set by housekeeping.keep_...; killed anywhere,
    the next run finishes it. It needs no Java. On hosts: impressions bulkload gc.

    \b
    Examples:
      impressions housekeeping --dry-run
      impressions housekeeping --set housekeeping.keep_generations=12
    """
    from batch.housekeeping.run import run as run_housekeeping

    context = Context(settings, start_run("housekeeping", {"dry_run": dry_run}), Runner(), now_ms)
    report = context.run.report(run_housekeeping(context, dry_run=dry_run))
    for what, detail in () if dry_run else said(report.outcome):
        event(CLEANED, what, detail)
    report.emit(json=json, summary=summary(report.outcome, dry_run=dry_run))


if __name__ == "__main__":
    run(command)
