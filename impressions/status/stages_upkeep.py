"""Whether somebody keeps the system going: jobs, comparisons, disks. Pure, from what was found.

Bounds are the settings `alerts.*`; the alerts of deploy/prometheus/alerts.yml hold their defaults.
"""

from __future__ import annotations

from impressions.core.errors import UsageError
from impressions.core.spec import DAY_MS
from impressions.history.run_record import RunRecord
from impressions.settings.model import Settings
from impressions.settings.sections.watching import Alerts
from impressions.status.disks import Disk
from impressions.status.jobs import Job, Jobs
from impressions.status.questions import Unknown
from impressions.status.stage import (
    Found,
    Problem,
    Stage,
    State,
    age_s,
    ago,
    deaths,
    plural,
    unknown,
)
from impressions.terminal.console import human_age, human_bytes

SCHEDULED = (
    "land", "close", "quality", "compact", "export", "load", "check", "activate", "gc", "reconcile",
    "week", "housekeeping",
)  # fmt: skip
"""Jobs that run by themselves: one that failed waits for somebody. Who runs another one looks."""

STEADY = ("close", "quality", "compact", "export", "load", "check", "gc", "week", "housekeeping")
"""Jobs whose work is about the same each time, so that twice as long means something."""

_STOPPED_BY_HAND = 130


def jobs(found: Found, settings: Settings) -> Stage:
    """Runs that failed, and runs that took far longer than usual."""
    known = found.jobs
    if isinstance(known, Unknown):
        return unknown("jobs", known)
    problems = [
        *(_failure(job, found.at_ms) for job in failed(known, found.at_ms, settings.alerts)),
        *(_slowness(job) for job in slow(known, settings.alerts)),
        *deaths(found, "week", "reconcile", "exporter"),
    ]
    ahead = [_ahead(name, n) for name, n in known.ahead.items()]
    facts = {
        "jobs": {
            job.name: {
                "last_ms": job.last.ended_ms,
                "last_exit_code": job.last.exit_code,
                "last_reason": job.last.reason,
                "success_ms": None if job.success is None else job.success.ended_ms,
                "seconds": None if job.work is None else job.work.seconds,
                "usual_s": job.usual_s,
            }
            for job in known.by_name.values()
        },
        "damaged_records": known.damaged,
    }
    lasts, names = [job.last for job in known.by_name.values()], known.by_name
    line = f"{len(names)} {plural('job', names)} in the history"
    if newest := max(lasts, key=lambda run: run.ended_ms, default=None):
        line += f", last {_of(newest, found.at_ms)}"
    state: State = "bad" if problems else "look" if ahead else "ok"
    return Stage("jobs", state, line, (*problems, *ahead), facts)


def failed(known: Jobs, at_ms: int, alerts: Alerts) -> list[Job]:
    """Scheduled jobs whose last run failed, unless that is so long ago that they run no more."""
    since_ms = at_ms - alerts.generation_age_days * DAY_MS
    return [
        job for name, job in known.by_name.items()
        if name in SCHEDULED and is_failure(job.last) and job.last.ended_ms >= since_ms
    ]  # fmt: skip


def is_failure(run: RunRecord) -> bool:
    """Whether it waits for somebody: it did not succeed, and nobody stopped it."""
    return run.exit_code not in (0, UsageError.exit_code, _STOPPED_BY_HAND)


def slow(known: Jobs, alerts: Alerts) -> list[Job]:
    """Jobs whose last work took far longer than the median of those before."""
    return [
        job for name, job in known.by_name.items()
        if name in STEADY and job.work is not None and job.usual_s is not None
        and job.work.seconds > alerts.slow_ratio * job.usual_s
        and job.work.seconds - job.usual_s > alerts.slow_by_s
    ]  # fmt: skip


def _failure(job: Job, at_ms: int) -> Problem:
    run = job.last
    well = "never before" if job.success is None else ago(at_ms, job.success.ended_ms)
    what = f"{_of(run, at_ms)} on {run.host}; last success {well}"
    return what, run.error


def _slowness(job: Job) -> Problem:
    took_s = 0.0 if job.work is None else job.work.seconds
    what = f"{job.name} took {human_age(took_s)}, usually {human_age(job.usual_s or 0)}"
    return what, "docs/runbook/job-slow.md"


def _ahead(name: str, records: int) -> Problem:
    what = f"{records:,} {plural('record', range(records))} of {name} say a time that has not come"
    return (
        what,
        "its host's clock was ahead: they are left out, and may be removed from history.uri",
    )


def _of(run: RunRecord, at_ms: int) -> str:
    end = "well" if run.succeeded else f"exit {run.exit_code} ({run.reason})"
    return f"{run.job} {end} {ago(at_ms, run.ended_ms)}"


def reconciled(found: Found, settings: Settings) -> Stage:
    """How long ago answers were compared with raw."""
    known, rotation = found.jobs, found.rotation
    if isinstance(known, Unknown):
        return unknown("reconciled", known)
    full_ms = None if isinstance(rotation, Unknown) else rotation.full_ms
    since_ms = known.compared_ms or known.first_compact_ms
    bound_s = settings.alerts.reconciled_age_h * 3600
    facts = {
        "compared_ms": known.compared_ms,
        "age_s": age_s(found.at_ms, since_ms),
        "full_ms": full_ms,
    }
    late = since_ms is not None and found.at_ms - since_ms > bound_s * 1000
    hint = "is it alive? impressions reconcile --every 10m"
    if known.compared_ms is None:
        line = "answers were never compared with raw: impressions reconcile --every 10m"
        if not late:
            return Stage("reconciled", "none", line, (), facts)
        return Stage("reconciled", "bad", line, ((line, None),), facts)
    line = f"answers compared with raw {ago(found.at_ms, known.compared_ms)}"
    if full_ms is not None:
        line += f", all profiles since {ago(found.at_ms, full_ms)}"
    problem = (f"nothing was compared for more than {human_age(bound_s)}", hint)
    return Stage("reconciled", "bad" if late else "ok", line, (problem,) if late else (), facts)


def disk(found: Found, settings: Settings) -> Stage:
    """The disks of this machine that Impressions writes to."""
    disks, bound = found.disks, settings.alerts.disk_free_share
    if isinstance(disks, Unknown):
        return unknown("disk", disks)
    problems = tuple(_fullness(one, bound) for one in disks if one.free_share < bound)
    least = min(disks, key=lambda one: one.free_share)
    facts = {
        one.place: {"free_bytes": one.free_bytes, "free_share": round(one.free_share, 4)}
        for one in disks
    }
    line = f"{human_bytes(least.free_bytes)} free ({least.free_share:.0%}) for {least.place}"
    return Stage("disk", "bad" if problems else "ok", line, problems, facts)


def _fullness(one: Disk, bound: float) -> Problem:
    of = "of its files (inodes) " if one.lacks_files else ""
    what = f"{one.place} ({one.path}): {one.free_share:.1%} {of}free, {human_bytes(one.free_bytes)}"
    return what, f"expected at least {bound:.0%}: docs/runbook/disk.md"
