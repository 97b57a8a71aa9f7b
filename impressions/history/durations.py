"""How long a job usually takes: the median of its last eight successes that did something.

A run that found nothing to do says nothing about the work; jobs that only read always do theirs.
Fewer than three runs say nothing either: until then nobody knows what is usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from impressions.history.run_record import RunRecord

RUNS = 8
FEWEST = 3
_READERS = {"quality", "recompute", "check", "reconcile"}


def did_its_work(run: RunRecord) -> bool:
    """Whether its duration says how long the job takes."""
    return run.succeeded and (run.changed or run.job in _READERS)


def usual_s(runs: Iterable[RunRecord]) -> float | None:
    """The median seconds of the newest RUNS that did their work. `runs`: of a job, newest first."""
    seconds = [run.seconds for run in runs if did_its_work(run)][:RUNS]
    return median(seconds) if len(seconds) >= FEWEST else None
