"""What the history of runs says of each job: its last success, its last end, how long it takes.

Read from the newest records of each job, through one `RunHistory` per process, which keeps what it
has read. Records of a time that has not come are counted and left out: the one success that a clock
written years ahead would otherwise hide every failure after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from impressions.clock import Clock, now_ms
from impressions.core.spec import DAY_MS
from impressions.history.durations import did_its_work, usual_s
from impressions.history.run_history import RunHistory
from impressions.history.run_record import JOBS, RunRecord
from impressions.settings.model import Settings
from impressions.status.questions import Absent

_NEWEST = 24
_COMPARED = (0, 6)  # exit codes of a reconciliation that compared: alike, differing
AHEAD_MS = 15_000
"""Clocks differ by less; a time that lies further ahead comes from one that is wrong."""
_histories: dict[str, RunHistory] = {}


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        last: its newest run, however it ended.
        success: its newest run that ended well.
        work: its newest run that did something, whose duration says how long the job takes.
        usual_s: the median of such runs before that one; None where they are too few.
    """

    name: str
    last: RunRecord
    success: RunRecord | None
    work: RunRecord | None
    usual_s: float | None


@dataclass(frozen=True)
class Jobs:
    """All jobs that ever ran, by name.

    Attributes:
        compared_ms: end of the last reconciliation that compared.
        first_compact_ms: since then there are generations that could be compared.
        rejected_share: of the impressions read in a day up to the last landing; None: none read.
        duplicate_share: of the rows of the last close.
        damaged: files of the history that hold no record.
        ahead: job -> runs that say they began at a time that has not come. They are left out.
    """

    by_name: dict[str, Job]
    compared_ms: int | None = None
    first_compact_ms: int | None = None
    rejected_share: float | None = None
    duplicate_share: float | None = None
    damaged: int = 0
    ahead: Mapping[str, int] = field(default_factory=dict)


def history_of(settings: Settings) -> RunHistory:
    """The one of this process."""
    uri = settings.history_uri
    return _histories.setdefault(uri, RunHistory(uri, settings.history.runs))


def read_jobs(settings: Settings, clock: Clock = now_ms) -> Jobs:
    """Raises Absent where nothing was recorded yet."""
    history, until_ms = history_of(settings).as_now(), clock() + AHEAD_MS
    runs = {name: history.runs(name, _NEWEST, until_ms) for name in JOBS}
    ahead = {name: n for name in JOBS if (n := history.count_after(name, until_ms))}
    found = {name: _job(name, of, history, until_ms) for name, of in runs.items() if of}
    if not found and not ahead:
        raise Absent("no run of a job was recorded yet")
    first = history.first("compact")
    compared = [run.ended_ms for run in runs["reconcile"] if run.exit_code in _COMPARED]
    return Jobs(
        found,
        compared_ms=max(compared, default=None),
        first_compact_ms=None if first is None else first.started_ms,
        rejected_share=rejected_share([*runs["land"], *runs["import"]]),
        duplicate_share=_share(runs["close"], "duplicates", "rows"),
        damaged=len(history.damaged),
        ahead=ahead,
    )


def rejected_share(runs: Iterable[RunRecord]) -> float | None:
    """Rejected of read, in runs that ended within a day of the newest of them."""
    read = [run for run in runs if run.counts.get("read")]
    newest_ms = max((run.ended_ms for run in read), default=0)
    recent = [run for run in read if run.ended_ms > newest_ms - DAY_MS]
    total = sum(run.counts["read"] for run in recent)
    return sum(run.counts.get("rejected", 0) for run in recent) / total if total else None


def _share(runs: Iterable[RunRecord], part: str, whole: str) -> float | None:
    """Of the newest run that says both."""
    for run in runs:
        if run.succeeded and run.changed and run.counts.get(whole):
            return run.counts.get(part, 0) / run.counts[whole]
    return None


def _job(name: str, runs: tuple[RunRecord, ...], history: RunHistory, until_ms: int) -> Job:
    worked = [run for run in runs if did_its_work(run)]
    return Job(
        name,
        last=runs[0],
        success=history.last_success(name, until_ms),
        work=worked[0] if worked else None,
        usual_s=usual_s(worked[1:]),
    )
