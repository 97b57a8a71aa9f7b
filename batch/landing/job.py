"""What one landing from Kafka was asked for, and what one commit of it starts from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch.jobs.context import Context
from batch.lake import snapshots, tables
from batch.lake.cursor import Landed
from batch.landing import overlap, plan, topic
from batch.landing.plan import Loss, TopicState
from impressions.kafka import last_record
from impressions.kafka.last_record import Comparison

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Landing(Context):
    """One `impressions land` from Kafka.

    Attributes:
        until_ms: records ingested at or after it are left for later; None for all.
        accept_loss: give up records and rows that are gone, instead of refusing.
        chosen: partitions that this lander lands; None for all.
    """

    until_ms: int | None = None
    accept_loss: bool = False
    chosen: tuple[int, ...] | None = None

    @property
    def partitions(self) -> Collection[int]:
        return range(self.settings.partitions) if self.chosen is None else self.chosen

    @property
    def margin_ms(self) -> int:
        return round(self.settings.land.clock_margin_s * 1000)


@dataclass(frozen=True)
class Before:
    """What a commit starts from.

    Attributes:
        raw: the table, loaded at `base`.
        landed: where to read on; after `lost`, if that was accepted.
    """

    raw: Table
    base: snapshots.State
    landed: Landed
    seen: TopicState
    lost: tuple[Loss, ...] = ()


def begin(job: Landing) -> Before:
    """Main and the topic as they are now.

    Raises:
        Refused: another topic, or other records in it; records are gone, files overlap it.
    """
    raw = job.table(tables.RAW)
    before = begin_at(job, raw, topic.ask(job.settings, job.clock, job.until_ms))
    lasts = {p: before.landed.cursors[p].last for p in job.partitions}
    compared = last_record.compare(job.settings, before.seen.topic, lasts)
    cut = [p for p, what in compared.items() if what is Comparison.OTHER]
    said = before.base.landed
    if not cut or said is None:
        return before
    return replace(before, landed=plan.restarted(before.landed, cut, before.seen, said.epoch))


def begin_at(job: Landing, raw: Table, seen: TopicState) -> Before:
    """The same of a topic that was asked before."""
    base = snapshots.state(raw)
    landed = plan.begin(base.landed, seen, job.settings.stream.epoch)
    if landed.first_ms is None and seen.first_ms is not None:
        overlap.check_landing(job.settings, raw, base.snapshot_id, seen.first_ms)
    lost = [loss for loss in plan.losses(landed, seen) if loss.partition in job.partitions]
    if not job.accept_loss:
        plan.refuse(lost, seen)
    return Before(raw, base, plan.skip(landed, lost, seen), seen, tuple(lost))


def claimed(job: Landing, landed: Landed, seen: TopicState) -> Landed:
    """`landed`, saying how far the partitions of this lander are complete."""
    return plan.claimed(landed, seen, job.margin_ms, job.until_ms, job.partitions)
