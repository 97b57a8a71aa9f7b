"""The gate before a generation is computed: the days of its window are like the days before them.

A finding that stands holds the generation back, until its events are repaired or somebody accepts
that finding, with a name and a reason (`impressions accept`). What was accepted is signed onto the
generation and goes into its manifest. Days of the window are whole UTC days before the cutover.
"""

from __future__ import annotations

from typing import Protocol

from batch.compacting.job import Compacting
from batch.quality.acceptance import Acceptance
from batch.quality.findings import blocking
from batch.quality.judge import Verdict
from batch.quality.review import review, words
from batch.quality.table import Kept
from impressions.core import window
from impressions.core.errors import AuditFailed
from impressions.core.slot import format_utc
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.model import Settings
from impressions.settings.sections.batch import Quality


class Dated(Protocol):
    """A generation that is to be made: what the gate needs to know of it."""

    @property
    def settings(self) -> Settings: ...

    @property
    def cutover_ms(self) -> int: ...

    @property
    def spec(self) -> Spec: ...

    @property
    def name(self) -> str: ...


def require_ordinary(job: Dated, kept: Kept) -> Verdict:
    """The days of the window, judged.

    Raises:
        AuditFailed: naming each finding that holds the generation back.
    """
    first_ms = window.first_slot_ms(job.cutover_ms, job.spec)
    verdict = review(job.settings, kept, job.cutover_ms, -(-first_ms // DAY_MS))
    found = blocking(verdict.findings)
    if found:
        raise AuditFailed(
            f"generation {job.name} was not computed: {len(found)} findings in the days of its "
            f"window: {words(found)}",
            hint="repair the days (land --forget, land, close), or say why it is well: "
            f"impressions accept {found[0].id} --reason '...'",
            reason="quality_findings",
        )
    return verdict


def changed_bounds(job: Compacting) -> str:
    """Settings of the gate that are not the defaults, for the report: none of them is silent."""
    ours, usual = job.settings.quality, Quality()
    changed = [
        name for name in type(usual).model_fields if getattr(ours, name) != getattr(usual, name)
    ]
    return ", ".join(f"quality.{name} = {getattr(ours, name)}" for name in changed)


def accepted_in(kept: Kept, verdict: Verdict) -> list[str]:
    """A line for each acceptance that a finding of the window needed."""
    return [
        _line(one) for one in kept.accepted if any(one.covers(found) for found in verdict.accepted)
    ]


def _line(one: Acceptance) -> str:
    """In one line of ASCII, as a manifest holds it."""
    text = f"{one.id} by {one.by} at {format_utc(one.at_ms)}: {one.reason} [{one.sentence}]"
    ascii_ = text.encode("ascii", "backslashreplace").decode()
    return "".join(sign if sign.isprintable() else " " for sign in ascii_)
