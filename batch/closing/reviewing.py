"""After a close: days get their rows of `impressions.quality`, all days are judged, and it is said.

A finding does not fail the close: the slots are closed and well. `compact` is the gate.
"""

from __future__ import annotations

from dataclasses import replace

from batch.closing.recording import Fresh, Recorded, record
from batch.jobs.context import Context
from batch.lake.tables import QUALITY
from batch.quality.review import as_document, lines, review
from impressions.terminal.console import warn
from impressions.terminal.report import Outcome


def record_and_review(context: Context, done: Outcome, fresh: Fresh) -> Outcome:
    """`done` with what was recorded and found."""
    recorded = record(context, fresh)
    return reviewed(context, done, recorded)


def reviewed(context: Context, done: Outcome, recorded: Recorded) -> Outcome:
    """Judges the days, says what was found."""
    verdict = review(context.settings, recorded.kept, None)
    for line in lines(verdict):
        warn(line)
    if recorded.lacking:
        context.run.note(
            f"{len(recorded.lacking):,} earlier days have no rows of impressions.{QUALITY}: "
            "impressions quality --backfill"
        )
    document = as_document(verdict) | {
        "days_recorded": len(recorded.days),
        "days_lacking": len(recorded.lacking),
    }
    wrote = {} if recorded.snapshot_id is None else {QUALITY: recorded.snapshot_id}
    return replace(
        done,
        changed=done.changed or bool(wrote),
        snapshots={**done.snapshots, **wrote},
        extra={**done.extra, "quality": document},
    )
