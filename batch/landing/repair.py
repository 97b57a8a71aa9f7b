"""Before a commit: rows that were landed and are gone from raw come back from the topic.

Two cases. Somebody deleted rows: as many are missing as shortfall.py counted, and a topic that
holds fewer of them is refused. Or what the landings said is lost, because their snapshots expired
after a commit of somebody else: then the rows themselves say how far the topic is landed, and what
the topic holds before that and raw does not is landed.

The lander that sees it repairs all partitions, not only its own: once it has landed, the commit
that took the rows is no longer the newest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from batch.lake import snapshots
from batch.lake.data_file_writer import target_of
from batch.lake.guarded_commit import commit
from batch.landing import part, shortfall
from batch.landing import table_rows as rows
from batch.landing.fetch import client_of
from batch.landing.job import Before, Landing, begin
from batch.landing.part import Task
from batch.landing.plan import Range
from batch.landing.tally import Tally
from impressions.core.errors import Refused
from impressions.history.run_record import HEALED
from impressions.process.recording import event

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile


def repaired(job: Landing, before: Before) -> tuple[Before, Tally]:
    """`before`, or the table after a commit that brought rows back; and what was done.

    Raises:
        Refused: rows are gone that the topic no longer holds.
        Conflict: another commit came first.
    """
    base, nothing = before.base, (before, Tally())
    if base.snapshot_id is None:
        return nothing
    if base.landed is None:
        known = shortfall.recovered(before.raw, base.snapshot_id, before.landed)
        if known is None:
            return nothing
        unknown = dict.fromkeys(range(job.settings.partitions), 0)
        return _bring_back(job, replace(before, landed=known), unknown)
    if job.accept_loss:
        return nothing
    missing: Counter[int] = Counter()
    for (_, shard), count in shortfall.find(before.raw, base, job.settings.spec).items():
        missing[shard] += count
    return _bring_back(job, before, missing) if missing else nothing


def _bring_back(job: Landing, before: Before, missing: Mapping[int, int]) -> tuple[Before, Tally]:
    """`missing`: rows, at least, by partition."""
    total = 0
    files: list[DataFile] = []
    for shard, count in missing.items():
        absent, of_shard = _absent(job, before, shard)
        if absent < count:
            raise Refused(
                f"{'.'.join(before.raw.name())}, partition {shard}: {count:,} landed rows are "
                f"gone, of which the topic still holds {absent:,}",
                hint="roll the table back to before they were deleted; or give them up: after "
                "`impressions land --accept-loss` no generation will count them",
                reason="rows_lost",
            )
        total += absent
        files += of_shard
    through_ms = before.base.valid_through_ms or 0
    said = snapshots.properties(snapshots.LAND, job.run.id, through_ms)
    commit(before.raw, files, said | before.landed.properties(), reached_ms=before.seen.broker_ms)
    job.run.note(f"{total:,} rows that were landed and then gone are landed again")
    if total:
        event(HEALED, "rows that were gone are landed again", f"{total:,} rows")
    return begin(job), Tally(changed=True, repaired=total)


def _absent(job: Landing, before: Before, shard: int) -> tuple[int, list[DataFile]]:
    """Rows of one partition that raw lacks, written: how many, and the files."""
    seen, settings = before.seen, job.settings
    wanted = Range(shard, seen.first[shard], before.landed.cursors[shard].next_offset, 0)
    if wanted.start >= wanted.end:
        return 0, []
    target = target_of(before.raw)
    task = Task(
        range=wanted, rejected_from=wanted.end, client=client_of(settings), topic=seen.topic,
        topic_id=seen.topic_id, partitions=settings.partitions, slot_ms=settings.spec.slot_ms,
        raw=target, rejected=target, memory_bytes=settings.land.memory_mb << 20,
    )  # fmt: skip
    held = shortfall.held(before.raw, before.base.snapshot_id, before.landed.source, shard)
    count, files = 0, []
    for _, offsets, _, batch in part.judged(task, settings.spec):
        landed = rows.impressions(batch, offsets, shard, before.landed.source, settings.spec)
        lacking = held.absent(landed)
        if lacking.num_rows:
            count += lacking.num_rows
            files += part.write_slots(target, lacking)
    return count, files
