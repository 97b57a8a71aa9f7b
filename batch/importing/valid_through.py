"""How far raw is complete after an import: what its commit says, and what a person should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.importing.job import Import
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.cursor import Landed
from batch.lake.guarded_commit import commit
from batch.landing import overlap
from impressions.core.errors import UsageError
from impressions.core.slot import format_utc, next_slot_ms

if TYPE_CHECKING:
    from pyiceberg.table import Table


def valid_through_ms(
    job: Import, newest_ms: int, landed: Landed | None, begins_ms: int | None, left_out: int
) -> int | None:
    """What the commit says; None leaves it to the commits before.

    Everything up to the slot after the newest row, but never a time that has not come yet. Nothing
    where a topic is landed (its landings say it), or where a directory held files that were left
    out. Where a topic is configured but not landed yet, its records may come from its first one on,
    or from now on: the rest of the newest row's slot is not the files' to speak for.

    Args:
        newest_ms: ingest time of the newest valid row.
        begins_ms: of the topic's first record, if there is one.
        left_out: files that were left out of directories.

    Raises:
        UsageError: the caller says a time that lies before the rows, or in the future.
    """
    now_ms = job.clock()
    needed_ms = min(next_slot_ms(newest_ms, job.spec), now_ms)
    if job.valid_through_ms is not None:
        _check(job, needed_ms, newest_ms, now_ms)
    if landed is not None:
        job.run.note(
            f"how far raw is complete is for topic {job.settings.kafka.topic} to say: "
            "impressions land"
        )
        return None
    if left_out and job.valid_through_ms is None:
        job.run.note(
            "files were left out, so nothing is said of how far raw is complete; if they hold no "
            f"rows of this history: --valid-through {format_utc(needed_ms)}"
        )
        return None
    return _cut(job, job.valid_through_ms or needed_ms, begins_ms, now_ms)


def extend(job: Import, raw: Table | None) -> int | None:
    """Nothing to import, but the caller may say that nothing more is to come until a time.

    Returns:
        The snapshot that says so; None where there is nothing to say.
    """
    asked_ms = job.valid_through_ms
    if asked_ms is None or job.dry_run or raw is None:
        return None
    refuse_future(asked_ms, job.clock())

    def attempt() -> int | None:
        table = job.table(tables.RAW)
        base = snapshots.state(table)
        overlap.refuse_claim(base.landed)
        if asked_ms <= (base.valid_through_ms or 0):
            return None
        said = snapshots.properties(snapshots.LAND, job.run.id, asked_ms)
        return commit(table, [], said)

    snapshot_id = retried(attempt)
    if snapshot_id is not None:
        job.run.note(f"valid through {format_utc(asked_ms)}")
    return snapshot_id


def _cut(job: Import, wanted_ms: int, begins_ms: int | None, now_ms: int) -> int:
    topic, until_ms = job.settings.kafka.topic, wanted_ms
    if overlap.has_topic(job.settings):
        until_ms = min(wanted_ms, begins_ms if begins_ms is not None else now_ms)
    if until_ms < wanted_ms:
        job.run.note(
            f"valid through {format_utc(until_ms)} only: from then on topic {topic} may hold more"
        )
    elif job.valid_through_ms is None:
        job.run.note(f"valid through {format_utc(until_ms)}: the slot after the newest row")
    return until_ms


def _check(job: Import, needed_ms: int, newest_ms: int, now_ms: int) -> None:
    asked_ms = job.valid_through_ms or 0
    if asked_ms < needed_ms:
        raise UsageError(
            f"--valid-through {format_utc(asked_ms)}: the files hold rows ingested at "
            f"{format_utc(newest_ms)}, expected {format_utc(needed_ms)} or later",
            hint=f"--valid-through {format_utc(needed_ms)}",
        )
    refuse_future(asked_ms, now_ms)


def refuse_future(asked_ms: int, now_ms: int) -> None:
    """Raises UsageError: nobody knows that no more is to come before a time that lies ahead."""
    if asked_ms > now_ms:
        raise UsageError(
            f"--valid-through {format_utc(asked_ms)} lies in the future, expected "
            f"{format_utc(now_ms)} or earlier",
            hint="leave it out: valid-through is then the slot after the newest row",
        )
