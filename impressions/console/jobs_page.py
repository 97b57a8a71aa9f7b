"""The last runs of every job: how each ended, how long it took, what it counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impressions.console.masking import MASK, Masking
from impressions.console.words import age, ago, number, time
from impressions.history.durations import usual_s
from impressions.history.run_record import RunRecord

SHOWN = 100
_INTERRUPTED = 130


@dataclass(frozen=True)
class RunRow:
    """A run in words; `state` as of a stage."""

    job: str
    run_id: str
    host: str
    at: str
    age: str
    took: str
    state: str
    says: str
    counts: str
    arguments: str
    events: tuple[str, ...]


@dataclass(frozen=True)
class JobRow:
    """A job: its newest run, when it last ended well, how long it usually takes."""

    job: str
    state: str
    age: str
    succeeded: str
    usual: str
    runs: int
    failed: int


def jobs(runs: Sequence[RunRecord], at_ms: int) -> tuple[JobRow, ...]:
    """One row for each job that ran, the one that ran last first. `runs`: newest first."""
    names = list(dict.fromkeys(run.job for run in runs))
    return tuple(_job([run for run in runs if run.job == name], at_ms) for name in names)


def rows(
    runs: Sequence[RunRecord], job: str | None, at_ms: int, masking: Masking
) -> tuple[RunRow, ...]:
    """The newest runs, of one job or of all."""
    wanted = [run for run in runs if job is None or run.job == job]
    return tuple(_row(run, at_ms, masking) for run in wanted[:SHOWN])


def state_of(run: RunRecord) -> str:
    """Interrupted by a person is no fault."""
    if run.succeeded:
        return "ok"
    return "none" if run.exit_code == _INTERRUPTED else "bad"


def _job(runs: Sequence[RunRecord], at_ms: int) -> JobRow:
    well = next((run for run in runs if run.succeeded), None)
    usual = usual_s(runs)
    return JobRow(
        runs[0].job,
        state_of(runs[0]),
        ago(at_ms, runs[0].ended_ms),
        "never" if well is None else ago(at_ms, well.ended_ms),
        "-" if usual is None else age(usual),
        len(runs),
        sum(state_of(run) == "bad" for run in runs),
    )


def _row(run: RunRecord, at_ms: int, masking: Masking) -> RunRow:
    return RunRow(
        run.job,
        run.run_id,
        run.host,
        time(run.started_ms),
        ago(at_ms, run.started_ms),
        age(run.seconds),
        state_of(run),
        masking.text(_says(run)),
        ", ".join(f"{name} {number(count)}" for name, count in run.counts.items()),
        _arguments(run.arguments, masking),
        tuple(
            masking.text(f"{event.kind}: {event.what} {event.detail}".strip())
            for event in run.events
        ),
    )


def _says(run: RunRecord) -> str:
    if run.succeeded:
        return "done" if run.changed else "nothing changed"
    said = f"exit {run.exit_code}"
    said += f", {run.reason}" if run.reason else ""
    return f"{said}: {run.error}" if run.error else said


def _arguments(arguments: Mapping[str, Any], masking: Masking) -> str:
    """Those that were given. One named after profiles holds their ids."""
    given = {name: value for name, value in arguments.items() if value not in (None, False, [], "")}
    return ", ".join(
        f"{name}={MASK if 'profile' in name and not masking.shown else value}"
        for name, value in given.items()
    )
