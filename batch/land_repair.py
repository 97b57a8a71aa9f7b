"""Before a commit: rows that were landed and are gone from raw come back from the log.

Two cases. Somebody deleted rows: as many are missing as batch/shortfall.py counted, and less than
that from the log is a refusal. Or what the landings said is forgotten, because their snapshots
expired behind a commit of somebody else: then the rows themselves say how far the topic is landed,
and whatever the log holds before that and raw does not comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from batch import land_pass, shortfall, snapshots
from batch.land_job import Before, Landing, begin, commit
from batch.land_plan import Range
from batch.stages import stages
from impressions.errors import Refused


def repaired(job: Landing, before: Before) -> Before:
    """`before`, or the table after a commit that brought rows back. Raises Refused."""
    base = before.base
    if base.snapshot_id is None:
        return before
    if base.landed is None:
        known = shortfall.recovered(job.spark, job.settings, before.landed)
        if known is None:
            return before
        unknown = dict.fromkeys(range(job.settings.partitions), 0)
        return _bring_back(job, replace(before, landed=known), unknown)
    if job.accept_loss:
        return before
    missing: Counter[int] = Counter()
    for (_, shard), rows in shortfall.find(job.spark, job.settings, base).items():
        missing[shard] += rows
    return _bring_back(job, before, missing) if missing else before


def _bring_back(job: Landing, before: Before, missing: Mapping[int, int]) -> Before:
    """`missing`: rows, at least, by partition."""
    landed, log, base = before.landed, before.log, before.base
    ranges = [
        Range(p, log.first[p], landed.cursors[p].next_offset, 0)
        for p in missing
        if log.first[p] < landed.cursors[p].next_offset
    ]
    _check(job, {p: n for p, n in missing.items() if p not in {r.partition for r in ranges}}, {})
    raw = snapshots.read_at(job.spark, job.raw, base.snapshot_id)
    with land_pass.kept(job, before, ranges) as rows:
        absent = shortfall.absent(job.impressions(rows), raw, landed.source, missing)
        with stages(job.spark, "look for missing rows"):
            counted = absent.groupBy("shard").count().collect()
        found = {row["shard"]: row["count"] for row in counted}
        _check(job, missing, found)
        commit(job, base, landed, absent, base.valid_through_ms or 0)
    total = sum(found.values())
    job.report.counts["repaired"] += total
    job.report.note(f"{total:,} rows that were landed and then gone are landed again")
    return begin(job)


def _check(job: Landing, missing: Mapping[int, int], found: Mapping[int, int]) -> None:
    for shard, rows in missing.items():
        if found.get(shard, 0) < rows:
            raise Refused(
                f"{job.raw}, partition {shard}: {rows:,} landed rows are gone, of which the topic "
                f"still holds {found.get(shard, 0):,}",
                hint="roll the table back to before they were deleted; or, if they shall be gone, "
                "`impressions land --accept-loss`",
                reason="rows_lost",
            )
