"""`impressions quality`: what the days of events say, and rows for days that lack them.

Judges all days of `impressions.quality` and prints every finding. `--backfill` first counts the
closed days that have no rows, because they are older than the table or their last close was killed.
"""

from __future__ import annotations

from typing import Annotated

import typer

from batch.closing.recording import record
from batch.closing.reviewing import reviewed
from batch.jobs.context import Context
from batch.jobs.tasks import runner_of_submission
from batch.quality import table as quality_table
from batch.quality.judge import Verdict
from batch.quality.review import as_document, review, summary
from impressions.clock import now_ms
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run


@verb(job="quality")
def command(
    settings: Settings,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="First count closed days that have no rows.")
    ] = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Judge the days of events, and print what is not like the days before.

    Exit code 0 also with findings: compact is the gate.

    \b
    Examples:
      impressions quality
      impressions quality --backfill
    """
    arguments = {"backfill": backfill, "dry_run": dry_run}
    context = Context(settings, start_run("quality", arguments), runner_of_submission(), now_ms)
    outcome, verdict = run_quality(context, backfill=backfill, dry_run=dry_run)
    context.run.report(outcome).emit(json=json, summary=_text(outcome, verdict))


def run_quality(
    context: Context, *, backfill: bool = False, dry_run: bool = False
) -> tuple[Outcome, Verdict]:
    """Counts what lacks rows, if asked for, and judges all days."""
    kept, outcome = quality_table.read(context.settings), Outcome()
    if backfill:
        recorded = record(context, everything=True, writes=not dry_run)
        kept = recorded.kept
        if not dry_run:
            outcome = reviewed(context, outcome, recorded)
        outcome = _with(outcome, {"days_recorded": len(recorded.days)})
    verdict = review(context.settings, kept, None)
    document = {**outcome.extra.get("quality", {}), **as_document(verdict)}
    return Outcome(
        outcome.changed, outcome.counts, outcome.snapshots, {**outcome.extra, "quality": document}
    ), verdict


def _with(outcome: Outcome, counts: dict[str, int]) -> Outcome:
    return Outcome(outcome.changed, {**outcome.counts, **counts}, outcome.snapshots, outcome.extra)


def _text(outcome: Outcome, verdict: Verdict) -> str:
    counted = outcome.counts.get("days_recorded")
    lines = [] if counted is None else [f"counted {counted:,} days"]
    lines += [f"{one.id} {'blocks' if one.blocks else 'named '} {one.sentence}"
              for one in verdict.findings]  # fmt: skip
    return "\n".join([*lines, summary(verdict)])


if __name__ == "__main__":
    run(command)
