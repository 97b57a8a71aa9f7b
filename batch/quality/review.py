"""What the table's days say now: findings that stand, and how a report and a person see them.

Days are judged whenever somebody asks, from the table alone: it is small, and a finding that was
accepted, or whose day was repaired, is none any more.
"""

from __future__ import annotations

from typing import Any

from batch.quality.findings import Finding, blocking
from batch.quality.judge import Verdict, judge
from batch.quality.table import Kept
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings

SHOWN = 5


def review(settings: Settings, kept: Kept, until_ms: int | None, from_day: int = 0) -> Verdict:
    """Days that end by `until_ms`; None: all that have rows."""
    last = max((row.day for row in kept.rows), default=-1)
    until_day = last + 1 if until_ms is None else until_ms // DAY_MS
    return judge(kept.rows, until_day, settings.quality, kept.accepted, from_day)


def as_document(verdict: Verdict) -> dict[str, Any]:
    """For the JSON of a report."""
    return {
        "days_judged": verdict.days,
        "findings": [one.as_dict() for one in verdict.findings],
        "accepted": [one.id for one in verdict.accepted],
    }


def lines(verdict: Verdict) -> list[str]:
    """For people: what blocks first, the newest days first; a few of many."""
    found = sorted(verdict.findings, key=lambda one: (not one.blocks, -one.day))
    shown = [f"quality: {one.id} {one.sentence}" for one in found[:SHOWN]]
    if len(found) > SHOWN:
        shown.append(f"quality: {len(found) - SHOWN} more findings: impressions quality")
    return shown


def summary(verdict: Verdict) -> str:
    """`412 days judged, 2 findings block, 1 is named only, 3 accepted`."""
    blocks = len(blocking(verdict.findings))
    named = len(verdict.findings) - blocks
    text = f"{verdict.days:,} days judged, {blocks} findings block a generation"
    text += f", {named} are named only" if named else ""
    return text + (f", {len(verdict.accepted)} accepted" if verdict.accepted else "")


def words(found: list[Finding]) -> str:
    """Findings in one message."""
    some = "; ".join(f"{one.id} {one.sentence}" for one in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return some + more
