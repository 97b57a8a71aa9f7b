"""What a run says about itself: one line of JSON under `--json`, a few lines for people otherwise.

    {"job": "land", "run_id": "...", "started": "2026-11-15T00:00:00Z", "seconds": 3.1,
     "changed": true, "arguments": {...}, "counts": {...}, "snapshots": {...}, "notes": [...], ...}

    Run        who runs: made at the start, handed to every step, which may say a note
    Outcome    what the job did: made at the end from what its steps returned
    Report     both together: what is printed

A run with nothing to do is a success with `changed` false. Job-specific keys come last.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impressions.clock import monotonic_s, now_ms
from impressions.core.slot import format_utc
from impressions.terminal.console import emit, say
from impressions.terminal.listening import tell


@dataclass(frozen=True)
class Outcome:
    """What a job did.

    Attributes:
        counts: numbers of rows, files, slots.
        snapshots: table -> snapshot id that the run left or read.
        extra: further keys of one job, JSON types.
    """

    changed: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshots: Mapping[str, int | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A run that has ended, and its outcome."""

    run: Run
    outcome: Outcome
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.run.job,
            "run_id": self.run.id,
            "started": format_utc(self.run.started_ms),
            "seconds": self.seconds,
            "changed": self.outcome.changed,
            "arguments": dict(self.run.arguments),
            "counts": dict(self.outcome.counts),
            "snapshots": dict(self.outcome.snapshots),
            "notes": list(self.run.notes),
            **self.outcome.extra,
        }

    def emit(self, *, json: bool, summary: str) -> None:
        """The run's result on stdout: the JSON line, or `summary` for people."""
        tell(self)
        emit(self.as_dict(), json=json, table=summary)


@dataclass(frozen=True)
class Run:
    """One run of a job.

    Attributes:
        notes: what a person should know (defaults taken, files skipped), as it was said.
    """

    job: str
    arguments: Mapping[str, Any]
    id: str
    started_ms: int
    started_s: float = field(default_factory=monotonic_s)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Says something to the person now; the report repeats it."""
        self.notes.append(text)
        say(text)

    def report(self, outcome: Outcome) -> Report:
        """The report of this run, which ends now."""
        return Report(self, outcome, round(monotonic_s() - self.started_s, 3))


def start_run(job: str, arguments: Mapping[str, Any] | None = None) -> Run:
    """A run that starts now."""
    run = Run(job, arguments or {}, id=uuid.uuid4().hex[:12], started_ms=now_ms())
    tell(run)
    return run
