"""What one landing from Kafka was asked for, and what one commit of it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import guarded, kafka_log, land_plan, overlap, snapshots, tables
from batch.land_plan import Log, Loss
from batch.land_rows import IMPRESSION
from batch.landed import LOST, Landed
from batch.report import RunReport
from impressions.clock import Clock
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Landing:
    """One `impressions land` from Kafka.

    Attributes:
        until_ms: records ingested at or after it are left for later; None for all.
        accept_loss: go on behind records, and rows, that are gone.
    """

    spark: SparkSession
    settings: Settings
    clock: Clock
    report: RunReport
    until_ms: int | None = None
    accept_loss: bool = False

    @property
    def raw(self) -> str:
        return tables.full_name(self.settings, tables.RAW)

    @property
    def rejected(self) -> str:
        return tables.full_name(self.settings, tables.REJECTED)

    def impressions(self, rows: DataFrame) -> DataFrame:
        """The rows of raw among those of the source."""
        return tables.shaped(rows.where(f"kind = '{IMPRESSION}'"), tables.RAW, self.settings.spec)


@dataclass(frozen=True)
class Before:
    """What a commit starts from.

    Attributes:
        landed: where to read on; behind `lost`, if that was accepted.
    """

    base: snapshots.State
    landed: Landed
    log: Log
    lost: tuple[Loss, ...] = ()


def begin(job: Landing) -> Before:
    """Main and the topic as they are now.

    Raises:
        Refused: another topic, records that are gone, files that overlap it.
    """
    base = snapshots.state(job.spark, job.raw)
    log = kafka_log.ask(job.settings, job.clock, job.until_ms)
    landed = land_plan.begin(base.landed, log, job.settings.stream.epoch)
    if landed.first_ms is None and log.first_ms is not None:
        overlap.check_landing(job.spark, job.settings, base.snapshot_id, log.first_ms)
    lost = land_plan.losses(landed, log)
    if not job.accept_loss:
        land_plan.refuse(lost, log)
    return Before(base, land_plan.skip(landed, lost, log), log, tuple(lost))


def valid_through(job: Landing, before: Before, landed: Landed) -> int:
    """Never less than what an earlier landing said.

    What an import said, before the topic was landed for the first time, was said of files only.
    """
    margin_ms = round(job.settings.land.clock_margin_s * 1000)
    found_ms = land_plan.valid_through(landed, before.log, margin_ms, job.until_ms)
    if before.base.landed is None:
        return found_ms
    return max(found_ms, before.base.valid_through_ms or 0)


def commit(
    job: Landing,
    base: snapshots.State,
    landed: Landed,
    rows: DataFrame,
    through_ms: int,
    lost: Sequence[Loss] = (),
) -> None:
    """Rows of raw, offsets and valid-through: one snapshot on top of `base`, or a conflict."""
    report = job.report
    properties = {
        snapshots.OPERATION: snapshots.LAND,
        snapshots.RUN_ID: report.run_id,
        snapshots.VALID_THROUGH: str(through_ms),
        **landed.properties(),
    }
    if lost:
        properties[LOST] = "; ".join(map(str, lost))
    report.snapshots[tables.RAW] = guarded.append(rows, job.raw, base.snapshot_id, properties)
    report.counts["commits"] += 1
    report.changed = True
    if lost:
        report.counts["lost"] += sum(loss.end - loss.start for loss in lost)
        report.note(f"given up as lost: {properties[LOST]}")
