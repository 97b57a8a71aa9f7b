"""The window is pinned, and its aggregates are written to the audit branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting import publishing, refs
from batch.compacting.job import Compacting
from batch.compacting.window_branch import Survey, pin
from batch.lake import generations, snapshots
from impressions.formats.generation_paths import ref_name
from impressions.process.failpoint import failpoint
from impressions.terminal.console import warn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Computed:
    """A generation that is written and not audited.

    Attributes:
        source: the window's branch of raw.   rows: the audit branch of ema.
        exchanges: how many times the plan shuffled; expected 0.
    """

    source: DataFrame
    rows: DataFrame
    exchanges: int


def compute(job: Compacting, window: Survey) -> Computed:
    """Pins the window and writes its aggregates to the audit branch."""
    from batch.rules.aggregate import aggregate, exchanges

    refs.set_tag(job.spark, job.raw, ref_name("src", job.cutover_ms), at=window.source_id)
    source = job.spark.table(pin(job.spark, job.settings, window, job.cutover_ms))
    failpoint("after-window")
    rows = aggregate(source, job.cutover_ms, job.spec)
    count = exchanges(rows)
    if count:
        warn(f"the plan shuffles {count} times; expected 0: is raw partitioned by shard?")
    branch = publishing.write(rows, job.ema, job.cutover_ms, origin(job, window))
    return Computed(source, job.spark.table(branch), count)


def origin(job: Compacting, window: Survey) -> dict[str, str]:
    """Snapshot properties of both commits of a generation: what it is computed from."""
    return {
        snapshots.RUN_ID: job.run.id,
        generations.CUTOVER: str(job.cutover_ms),
        generations.SOURCE: str(window.source_id),
        generations.WINDOW: window.digest,
        generations.SPEC: job.spec.fingerprint,
    }
