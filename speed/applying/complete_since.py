"""From when on the blocks of a partition are complete: the heartbeat's `since_ms`.

It moves where records are gone: the source had lost them before they were applied, or a block could
not be read any more. Answers that need an earlier time say what they lack.
"""

from __future__ import annotations

from dataclasses import replace

from impressions.core.decay import Int
from impressions.core.slot import format_utc, slot_start_ms
from impressions.core.spec import Spec
from impressions.formats.heartbeat import Heartbeat
from impressions.terminal import log


def after_loss(heartbeat: Heartbeat, first_offset: int, now_ms: int) -> Heartbeat:
    """The heartbeat of a partition that goes on at `first_offset`; records before it are gone."""
    since_ms = max(heartbeat.since_ms, now_ms)
    return replace(heartbeat, offset=first_offset - 1, since_ms=since_ms)


def next_since_ms(
    heartbeat: Heartbeat,
    append_ms: Int,
    ingest_ms: Int,
    spec: Spec,
    *,
    lost: bool,
    damaged: bool,
) -> int:
    """After a flush of records with these stamps and ingest times.

    Args:
        heartbeat: of the partition before the flush.
        lost: the source has lost records before these ones.
        damaged: a block that they add to could not be read.
    """
    if damaged:
        return int(ingest_ms.max()) + 1
    since_ms = int(ingest_ms[0]) + 1 if lost else heartbeat.since_ms
    doubted = ingest_ms[ingest_ms < append_ms]
    if not len(doubted):
        return since_ms
    log.warning(
        "stamps-ahead",
        partition=heartbeat.partition,
        records=len(doubted),
        stamped=format_utc(int(append_ms.max())),
        counted_from=format_utc(int(doubted.min())),
    )
    # In a slot that was over: a generation that was made since may lack it.
    over_ms = slot_start_ms(heartbeat.through_ms, spec)
    return max(since_ms, over_ms + 1) if doubted.min() < over_ms else since_ms
