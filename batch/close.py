"""`impressions close`: brings slots that are over into their final form.

Sorted by (shard, profile, title, event time), duplicates flagged, row-level deletes applied, late
rows in files of their own. By default all slots that are over and not closed, and closed ones right
after one of them; one commit. A plain process; spark-submitted, a task of the cluster per place: a
slot, or some shards of a large one (batch/closing/tasks.py).

Days that are over then get their rows of `impressions.quality`, and are judged (batch/quality): a
finding is said, written to a file of metrics and shown by `status`; `compact` refuses it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from batch.closing.recording import fresh_counts
from batch.closing.request import Request, chosen_slots
from batch.closing.reviewing import record_and_review
from batch.closing.tasks import Closed
from batch.jobs.context import Context
from batch.jobs.tasks import runner_of_submission
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.slot_states import slot_names, slot_states
from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.core.slot import parse_logical_date
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, Report, start_run

_Slot = Annotated[
    list[str] | None,
    typer.Option(
        "--slot", metavar="DATE", help="Close only the slot that starts then; repeatable."
    ),
]
_Through = Annotated[
    str | None,
    typer.Option("--through", metavar="DATE", help="Close the slots that end by this date."),
]
_Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Closed slots too, for example after rows were deleted by hand; duplicates are "
        "decided again.",
    ),
]


@verb(job="close")
def command(
    settings: Settings,
    slot: _Slot = None,
    through: _Through = None,
    again: _Again = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Sort and deduplicate the slots that are over.

    Nothing to do is a success. A slot is over when raw is valid through its end; one that is not is
    refused (exit 5).

    \b
    Examples:
      impressions close
      impressions close --slot 2026-11-14
    """
    if slot and through:
        raise UsageError("--slot and --through: expected one of the two")
    request = Request(
        tuple(parse_logical_date(text, settings.spec) for text in slot or ()),
        parse_logical_date(through, settings.spec) if through else None,
        again,
    )
    arguments = {"slot": slot or [], "through": through, "again": again, "dry_run": dry_run}
    context = Context(settings, start_run("close", arguments), runner_of_submission(), now_ms)
    report = context.run.report(run_close(context, request, dry_run=dry_run))
    report.emit(json=json, summary=_summary(report, dry_run))


def run_close(context: Context, request: Request, *, dry_run: bool = False) -> Outcome:
    """Closes the slots in one commit, and judges their days. Raises NotReady for a slot that is
    not over."""
    from batch.closing.rewrite import Rewrite

    settings, rewrite = context.settings, Rewrite(context.settings, context.runner)
    written: list[Closed] = []

    def attempt() -> Outcome:
        hint = "impressions land --from-files ..."
        table = (
            tables.require(settings, tables.RAW, hint)
            if dry_run
            else tables.to_rewrite(settings, hint)
        )
        base = snapshots.state(table)
        states = slot_states(table, base.snapshot_id)
        slots = chosen_slots(request, states, base, settings)
        counts = {"slots": len(slots), "rows": sum(states[slot].rows for slot in slots)}
        extra = {"slots": slot_names(slots, settings.spec.slot_ms)}
        if not slots or dry_run:
            return Outcome(False, counts, {tables.RAW: base.snapshot_id}, extra)
        said = {snapshots.RUN_ID: context.run.id}
        snapshot_id, closed = rewrite.attempt(table, base, slots, said)
        written[:] = closed
        counts |= {
            "rows": sum(one.rows for one in closed),
            "duplicates": sum(one.duplicates for one in closed),
            "files": sum(len(one.files) for one in closed),
        }
        return Outcome(True, counts, {tables.RAW: snapshot_id}, extra)

    done = retried(attempt)
    return done if dry_run else record_and_review(context, done, fresh_counts(written))


def _summary(report: Report, dry_run: bool) -> str:
    counts = report.outcome.counts
    if not counts["slots"]:
        return "nothing to close: every slot that is over is closed"
    verb = "would close" if dry_run else "closed"
    ranges = ", ".join(report.outcome.extra["slots"])
    return (
        f"{verb} {counts['slots']:,} slots ({counts['rows']:,} rows) "
        f"in {report.seconds:.1f} s: {ranges}"
    )


if __name__ == "__main__":
    run(command)
