"""`impressions close`: brings slots that are over into their final form.

Sorted by (profile, title, event time), duplicates flagged, row-level deletes applied, late rows in
files of their own. By default all slots that are over and not closed, and closed ones right after
one of them; one commit. A plain process; spark-submitted, a task of the cluster per (slot, shard).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from impressions.core.errors import NotReady, UsageError
from impressions.core.slot import format_utc, parse_logical_date
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from batch.jobs.tasks import Runner
    from batch.lake.slot_states import SlotState
    from batch.lake.snapshots import State
    from impressions.terminal.report import RunReport

_Slot = Annotated[
    list[str] | None,
    typer.Option("--slot", metavar="DATE", help="Only the slot that starts then; repeatable."),
]
_Through = Annotated[
    str | None,
    typer.Option("--through", metavar="DATE", help="Slots that end by then (exclusive edge)."),
]
_Again = Annotated[
    bool, typer.Option("--again", help="Closed slots too, e.g. after rows were deleted by hand.")
]

_LAND_FIRST = "bring the rest in first: impressions land"


@dataclass(frozen=True)
class Request:
    """Which slots: `slots` (starts in ms), all that end by `through_ms`, or all that are over."""

    slots: tuple[int, ...] = ()
    through_ms: int | None = None
    again: bool = False


@verb
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
    impressions close
    impressions close --slot 2026-11-14
    """
    from batch.jobs.tasks import runner_of_submission
    from impressions.terminal.report import start_report

    if slot and through:
        raise UsageError("--slot and --through: expected one of the two")
    request = Request(
        tuple(parse_logical_date(text, settings.spec) for text in slot or ()),
        parse_logical_date(through, settings.spec) if through else None,
        again,
    )
    report = start_report(
        "close", {"slot": slot or [], "through": through, "again": again, "dry_run": dry_run}
    )
    run_close(settings, request, report, runner_of_submission(), dry_run)
    report.emit(json=json, summary=_summary(report, dry_run))


def run_close(
    settings: Settings, request: Request, report: RunReport, runner: Runner, dry_run: bool = False
) -> None:
    """Does it; fills the report. Raises NotReady for a slot that is not over."""
    from batch.closing.rewrite import Rewrite
    from batch.lake import snapshots, tables
    from batch.lake.conflict import retried
    from batch.lake.slot_states import slot_names, slot_states

    rewrite = Rewrite(settings, runner)

    def attempt() -> None:
        table = tables.require(settings, tables.RAW, hint="impressions land --from-files ...")
        base = snapshots.state(table)
        states = slot_states(table, base.snapshot_id)
        slots = chosen_slots(request, states, base, settings)
        report.counts.update(slots=len(slots), rows=sum(states[slot].rows for slot in slots))
        report.extra["slots"] = slot_names(slots, settings.spec.slot_ms)
        report.snapshots[tables.RAW] = base.snapshot_id
        if not slots or dry_run:
            return
        snapshot_id, closed = rewrite.attempt(table, base, slots, {snapshots.RUN_ID: report.run_id})
        report.changed = True
        report.snapshots[tables.RAW] = snapshot_id
        report.counts.update(
            rows=sum(one.rows for one in closed),
            duplicates=sum(one.duplicates for one in closed),
            files=sum(len(one.files) for one in closed),
        )

    retried(attempt)


def chosen_slots(
    request: Request, states: dict[int, SlotState], base: State, settings: Settings
) -> set[int]:
    """Slots to rewrite now. Raises NotReady."""
    from batch.closing.slots import due_slots, followers

    spec, reached_ms = settings.spec, base.valid_through_ms or 0
    asked_ms = [slot + spec.slot_ms for slot in request.slots]
    if request.through_ms is not None:
        asked_ms.append(request.through_ms)
    _check_over(asked_ms, base)
    until_ms = reached_ms if request.through_ms is None else request.through_ms
    due = due_slots(states, until_ms, spec, request.again)
    if request.slots:
        due &= set(request.slots)
    return due | followers(due, states, spec)


def _check_over(ends_ms: Sequence[int], base: State) -> None:
    late = max(ends_ms, default=0)
    reached_ms = base.valid_through_ms
    if reached_ms is None and ends_ms:
        raise NotReady("raw does not say yet how far it is complete", hint=_LAND_FIRST)
    if reached_ms is not None and late > reached_ms:
        raise NotReady(
            f"the slots asked for end at {format_utc(late)}, but raw is valid through "
            f"{format_utc(reached_ms)}",
            hint=_LAND_FIRST,
            reason="slot_not_over",
        )


def _summary(report: RunReport, dry_run: bool) -> str:
    report.finish()
    if not report.counts["slots"]:
        return "nothing to close: every slot that is over is closed"
    verb = "would close" if dry_run else "closed"
    ranges = ", ".join(report.extra["slots"])
    return (
        f"{verb} {report.counts['slots']:,} slots ({report.counts['rows']:,} rows) "
        f"in {report.seconds:.1f} s: {ranges}"
    )


if __name__ == "__main__":
    run(command)
