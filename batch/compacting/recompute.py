"""A published generation, computed a second time from the raw snapshot it names, and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting import refs
from batch.compacting.computing import compute
from batch.compacting.job import Compacting
from batch.compacting.readiness import window_of_source
from batch.compacting.window_branch import Survey
from batch.lake import generations, tables
from batch.lake.generations import Generation
from impressions.core.errors import AuditFailed, NotReady
from impressions.formats.generation_paths import ref_name

if TYPE_CHECKING:
    from batch.compacting.compare import Difference


@dataclass(frozen=True)
class Recomputed:
    """Two computations of one generation that are the same, as far as doubles are."""

    generation: Generation
    window: Survey
    exchanges: int
    difference: Difference


def recompute(job: Compacting) -> Recomputed:
    """Computes it onto the audit branch, compares, and drops the branch; publishes nothing.

    Raises:
        NotReady: there is no such generation, or its source is gone.
        AuditFailed: the result differs; the audit branch is kept.
    """
    from batch.compacting.compare import SAME_SUM, compare

    generation = generations.history(tables.find(job.settings, tables.EMA)).of(job.cutover_ms)
    if generation is None:
        raise NotReady(
            f"generation {job.name} is not published, so there is nothing to compare with",
            hint=f"impressions compact --logical-date {job.name}",
        )
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    window = window_of_source(job, raw, generation)
    computed = compute(job, window)
    old = job.spark.read.option("versionAsOf", str(generation.snapshot_id)).table(job.ema)
    difference = compare(old, computed.rows, job.spec)
    branch = ref_name("audit", job.cutover_ms)
    if not difference.same:
        raise AuditFailed(
            f"generation {job.name}: computed again, {difference.unpaired} keys and "
            f"{difference.unequal} integers differ and sums by up to {difference.largest:.1e}, "
            f"expected 0, 0 and at most {SAME_SUM:.0e}",
            hint=f"compare branch {branch} of {job.ema} with tag {ref_name('gen', job.cutover_ms)}",
            reason="recompute_differs",
        )
    refs.drop_branch(job.spark, job.ema, branch)
    return Recomputed(generation, window, computed.exchanges, difference)
