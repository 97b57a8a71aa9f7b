"""Where a restored partition goes on: after the offset that its heartbeat names, or from nothing.

Refused is what would count a record twice or never: a source that was recreated or cut short while
`stream.epoch` stayed as it was, or another number of partitions.
"""

from __future__ import annotations

from dataclasses import replace

from impressions.core.errors import Refused
from impressions.deltas.store import PartitionState
from impressions.formats import heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.settings.model import Settings
from speed.applying.complete_since import after_loss


def starting_point(
    held: PartitionState,
    settings: Settings,
    partition: int,
    topic_id: bytes,
    source: tuple[int, int],
    now_ms: int,
) -> tuple[Heartbeat, bool]:
    """The heartbeat to go on from, and whether the source has lost records that come after it.

    Args:
        held: what the store says after its restore.
        source: [first, end) of the records the source has.

    Raises:
        Refused: the source topic was recreated or cut short and `stream.epoch` was not raised, or
            P differs.
    """
    fresh = Heartbeat(
        partition, settings.partitions, settings.stream.epoch, topic_id, held.topic_id,
        -1, 0, FROM_THE_FIRST_MS, FROM_THE_FIRST_MS,
    )  # fmt: skip
    start, (first_offset, end_offset) = fresh, source
    if held.heartbeat is not None:
        kept = heartbeat.decode(held.heartbeat, settings.spec)
        if kept.deltas_id == held.topic_id:
            start = _continued(kept, fresh, settings, now_ms)
    check_not_shorter(start, end_offset)
    lost = first_offset > start.offset + 1
    return (after_loss(start, first_offset, now_ms) if lost else start), lost


def check_not_shorter(applied: Heartbeat, end_offset: int) -> None:
    """Refuse a source that ends before what was applied: its offsets mean other records now."""
    if end_offset <= applied.offset:
        raise Refused(
            f"partition {applied.partition} of the source ends at offset {end_offset}, but offset "
            f"{applied.offset} was applied: the topic was recreated, or the broker lost its end",
            hint=f"stream.epoch = {applied.epoch + 1} for every worker and for land: both begin "
            "with an empty state",
            reason="source_cut",
        )


def _continued(kept: Heartbeat, fresh: Heartbeat, settings: Settings, now_ms: int) -> Heartbeat:
    """The published heartbeat, or a fresh one where `stream.epoch` was raised; or Refused."""
    epoch, partitions = settings.stream.epoch, settings.partitions
    if kept.partitions != partitions:
        raise Refused(
            f"the delta topic was written with {kept.partitions} partitions, expected {partitions}",
            hint="a new number of partitions needs new topics and a new generation",
            reason="partitions",
        )
    if kept.epoch < epoch:
        return replace(fresh, since_ms=max(kept.since_ms, now_ms))
    if kept.epoch > epoch or kept.topic_id != fresh.topic_id:
        raise Refused(
            f"topic {settings.kafka.topic} was recreated: epoch {kept.epoch} belongs to topic id "
            f"{kept.topic_id.hex()}, found {fresh.topic_id.hex()} with stream.epoch {epoch}",
            hint=f"if that was meant: stream.epoch = {kept.epoch + 1} for worker and land",
            reason="topic_recreated",
        )
    return kept
