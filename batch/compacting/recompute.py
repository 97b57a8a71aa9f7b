"""A published generation, computed a second time by Spark from the raw snapshot it names.

Spark's SQL (batch/rules/aggregate.py) is the form to read, and shares no line with the compiled one
that `compact` runs, nor its reading of files: a check of all rows, at the cost of a shuffle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting.job import Compacting
from batch.compacting.readiness import window_of_source
from batch.compacting.window import Window
from batch.lake import generations, tables
from batch.lake.generations import Generation
from impressions.core import window as windows
from impressions.core.errors import AuditFailed, NotReady
from impressions.core.slot import format_utc
from impressions.formats.generation_paths import ref_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from batch.compacting.compare import Difference


@dataclass(frozen=True)
class Recomputed:
    """Two computations of one generation that are the same, as far as doubles are."""

    generation: Generation
    window: Window
    difference: Difference


def recompute(job: Compacting, spark: SparkSession) -> Recomputed:
    """Computes it, compares; writes nothing.

    Raises:
        NotReady: there is no such generation, or its source is gone.
        AuditFailed: the result differs.
    """
    from batch.compacting.compare import SAME_SUM, compare
    from batch.compacting.incremental.comparing import SAME_SUM as FROM_BASE
    from batch.rules.aggregate import aggregate

    generation = generations.history(tables.find(job.settings, tables.EMA)).of(job.cutover_ms)
    if generation is None:
        raise NotReady(
            f"generation {job.name} is not published, so there is nothing to compare with",
            hint=f"impressions compact --logical-date {job.name}",
        )
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    window = window_of_source(job, raw, generation)
    old = spark.read.option("versionAsOf", str(generation.snapshot_id)).table(job.ema)
    again = aggregate(rows_of(job, spark, window.source_id), job.cutover_ms, job.spec)
    difference = compare(old, again, job.spec)
    limit = FROM_BASE if generation.incremental.since_ms else SAME_SUM
    if not difference.within(limit):
        raise AuditFailed(
            f"generation {job.name}: computed again, {difference.unpaired} keys and "
            f"{difference.unequal} integers differ and sums by up to {difference.largest:.1e}, "
            f"expected 0, 0 and at most {limit:.0e}",
            hint=f"tag {ref_name('gen', job.cutover_ms)} of {job.ema} is what was published, "
            f"tag {ref_name('src', job.cutover_ms)} of {job.raw} what it was computed from",
            reason="recompute_differs",
        )
    return Recomputed(generation, window, difference)


def rows_of(job: Compacting, spark: SparkSession, source_id: int) -> DataFrame:
    """The window's rows of raw."""
    first = format_utc(windows.first_slot_ms(job.cutover_ms, job.spec))
    return (
        spark.read.option("versionAsOf", str(source_id))
        .table(job.raw)
        .where(f"ingest_slot >= TIMESTAMP '{first}'")
        .where(f"ingest_slot < TIMESTAMP '{format_utc(job.cutover_ms)}'")
    )
