"""`impressions accept`: somebody says that one finding is well, and why.

It is recorded in the history of `impressions.quality`, in its properties, and in the manifest of
each generation that needed it. It accepts that finding only: its segment, measure and days, no
worse than they are now.
"""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from batch.lake.tables import QUALITY
from batch.quality import table as quality_table
from batch.quality.acceptance import accept
from batch.quality.findings import Finding
from batch.quality.review import review
from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run


@verb(job="accept")
def command(
    settings: Settings,
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="Its id, as it was printed.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is well.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so.", show_default="you")
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Accept one finding about the events of some days.

    \b
    Examples:
      impressions accept 2026-11-17-3fa9c1 --reason "a holiday in all our markets"
    """
    this = start_run("accept", {"finding": finding, "reason": reason, "dry_run": dry_run})
    outcome = run_accept(settings, finding, reason, by or getpass.getuser(), this.id, dry_run)
    said = "would accept" if dry_run else "accepted" if outcome.changed else "already accepted:"
    sentence = outcome.extra["sentence"]
    this.report(outcome).emit(json=json, summary=f"{said} {finding} {sentence}")


def run_accept(
    settings: Settings, id_: str, reason: str, by: str, run_id: str, dry_run: bool = False
) -> Outcome:
    """Records the acceptance; a finding that is accepted already is a success.

    Raises:
        UsageError: no finding that stands has this id, or the reason is empty.
    """
    if not reason.strip():
        raise UsageError("--reason: found nothing, expected why the finding is well")
    kept = quality_table.read(settings)
    verdict = review(settings, kept, None)
    one = _named(verdict.findings, id_)
    if one is None:
        if done := _named(verdict.accepted, id_):
            return Outcome(False, extra={"sentence": done.sentence})
        standing = ", ".join(found.id for found in verdict.findings[:5]) or "none"
        raise UsageError(
            f"finding {id_}: found no such finding, expected one that stands: {standing}",
            hint="impressions quality",
        )
    said = {"finding": one.as_dict(), "sentence": one.sentence, "by": by}
    if dry_run:
        return Outcome(False, extra=said)
    acceptance = accept(one, reason.strip(), by, now_ms())
    snapshot_id = quality_table.add_acceptance(settings, acceptance, run_id)
    return Outcome(True, {"days": one.last_day - one.day + 1}, {QUALITY: snapshot_id}, said)


def _named(found: tuple[Finding, ...], id_: str) -> Finding | None:
    return next((one for one in found if one.id == id_), None)


if __name__ == "__main__":
    run(command)
