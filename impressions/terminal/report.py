"""What a run says about itself: one line of JSON under `--json`, a few lines for people otherwise.

    {"job": "land", "run_id": "...", "started": "2026-11-15T00:00:00Z", "seconds": 3.1,
     "changed": true, "arguments": {...}, "counts": {...}, "snapshots": {...}, "notes": [...], ...}

A run that found nothing to do is a success with `changed` false. Job-specific keys come last.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impressions.clock import monotonic_s, now_ms
from impressions.core.slot import format_utc
from impressions.terminal.console import emit, say


@dataclass
class RunReport:
    """Filled while a job runs; `as_dict` is its JSON form.

    Attributes:
        counts: numbers of rows, files, slots.
        snapshots: table -> snapshot id that the run left or read.
        notes: what a person should know (defaults taken, files skipped).
        extra: further keys of one job, JSON types.
    """

    job: str
    arguments: Mapping[str, Any]
    run_id: str
    started_ms: int
    started_s: float = field(default_factory=monotonic_s)
    seconds: float | None = None
    changed: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, int | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Says something to the person now, and keeps it in the report."""
        self.notes.append(text)
        say(text)

    def finish(self) -> RunReport:
        """Stops the clock; the first call counts."""
        if self.seconds is None:
            self.seconds = round(monotonic_s() - self.started_s, 3)
        return self

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "run_id": self.run_id,
            "started": format_utc(self.started_ms),
            "seconds": self.seconds,
            "changed": self.changed,
            "arguments": dict(self.arguments),
            "counts": self.counts,
            "snapshots": self.snapshots,
            "notes": self.notes,
            **self.extra,
        }

    def emit(self, *, json: bool, summary: str) -> None:
        """The run's result on stdout: the JSON line, or `summary` for people."""
        emit(self.finish().as_dict(), json=json, table=summary)


def start_report(job: str, arguments: Mapping[str, Any]) -> RunReport:
    """The report of a run that starts now."""
    return RunReport(job, arguments, run_id=uuid.uuid4().hex[:12], started_ms=now_ms())
