"""What an import did, and how the report of the run says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch.closing.recording import Fresh, fresh_counts
from batch.closing.tasks import Closed
from batch.importing.choosing import Chosen
from batch.importing.survey import Survey
from impressions.core.errors import ImpressionsError
from impressions.core.slot import format_utc
from impressions.terminal.report import Outcome, Report


@dataclass(frozen=True)
class Written:
    """Rows that became part of raw, or would; and the commits.

    Attributes:
        snapshots: table -> snapshot.
        counts: of the places, for the quality of their days.
    """

    applied: int = 0
    duplicate: int = 0
    snapshots: Mapping[str, int] = field(default_factory=dict)
    counts: Fresh = field(default_factory=dict)


def written(closed: Sequence[Closed], snapshots: Mapping[str, int] | None = None) -> Written:
    """The new rows of these places."""
    duplicate = sum(one.new_duplicates for one in closed)
    applied = sum(one.new for one in closed) - duplicate
    return Written(applied, duplicate, snapshots or {}, fresh_counts(closed))


def outcome_of(
    chosen: Chosen, survey: Survey | None, done: Written, through_ms: int | None
) -> Outcome:
    """The import, for the report of the run.

    Args:
        survey: None where there was nothing to read.
        through_ms: what is said of how far raw is complete; None for nothing.
    """
    extra: dict[str, Any] = {}
    if survey is not None:
        extra = {"rejected_by_reason": dict(survey.rejected), "defaulted": survey.defaults_taken}
    if through_ms is not None:
        extra["valid_through"] = format_utc(through_ms)
    return Outcome(
        changed=bool(done.snapshots),
        counts={
            "read": survey.read if survey else 0,
            "applied": done.applied,
            "duplicate": done.duplicate,
            "rejected": survey.rejected.total() if survey else 0,
            "files": len(chosen.listed.files),
            "files_new": len(chosen.new),
            "files_left_out": chosen.listed.left_out,
        },
        snapshots=done.snapshots,
        extra=extra,
    )


def check_balance(survey: Survey, done: Written) -> None:
    """read = applied + duplicate + rejected: nothing is lost, nothing comes from nowhere."""
    rejected = survey.rejected.total()
    if survey.read != done.applied + done.duplicate + rejected:
        raise ImpressionsError(
            f"the import does not balance: read {survey.read:,} rows, but {done.applied:,} applied "
            f"+ {done.duplicate:,} duplicate + {rejected:,} rejected",
            hint="this is a defect, please report it with the run report",
            reason="unbalanced",
        )


def summary(report: Report, *, dry_run: bool) -> str:
    """The import for people."""
    counts, changed = report.outcome.counts, report.outcome.changed
    verb = "would import" if dry_run else "imported" if changed else "imported nothing from"
    return (
        f"{verb} {counts['files_new']:,} of {counts['files']:,} files in {report.seconds:.1f} s: "
        f"read {counts['read']:,} = applied {counts['applied']:,} + duplicate "
        f"{counts['duplicate']:,} + rejected {counts['rejected']:,}"
    )
