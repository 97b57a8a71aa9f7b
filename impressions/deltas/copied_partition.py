"""One partition of a follower: what the store says of its copy, and what is still awaited."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from impressions.clock import monotonic_s
from impressions.core.errors import CorruptData, Refused
from impressions.deltas.expired_slots import floor_of
from impressions.deltas.store import PartitionState
from impressions.formats import heartbeat
from impressions.settings.model import Settings
from impressions.terminal import log


@dataclass
class CopiedPartition:
    """A partition that was begun.

    Attributes:
        state: as it is in the store.
        restore_end: the end that the restore has to reach; None once it has.
        news_s: when a record came last, or the broker had none; monotonic.
    """

    state: PartitionState
    restore_end: int | None = None
    news_s: float = field(default_factory=monotonic_s)

    def heard(self) -> None:
        """Something is known of it just now."""
        self.news_s = monotonic_s()


def with_heartbeat(
    state: PartitionState, partition: int, value: bytes | None, settings: Settings, now_ms: int
) -> PartitionState:
    """The state of a partition after a heartbeat.

    An older heartbeat, of a worker that lost the partition, changes nothing, nor do bytes that are
    no heartbeat: the copy grows old, and says so.

    Raises:
        Refused: a stream of another kind.
    """
    if value is None:
        return state
    try:
        new = heartbeat.decode(value, settings.spec)
    except CorruptData as error:
        log.once("not-a-heartbeat", partition=partition, because=error.message)
        return state
    if (new.partition, new.partitions) != (partition, settings.partitions):
        raise Refused(
            f"heartbeat of partition {new.partition} of {new.partitions} "
            f"in partition {partition} of {settings.partitions}",
            hint="the worker and this host must agree on `partitions`",
            reason="partitions",
        )
    if new.deltas_id != state.topic_id:
        # Of a worker that did not notice yet that the topic was made again.
        log.once("heartbeat-of-another-topic", partition=partition)
        return state
    if state.heartbeat is not None:
        held = heartbeat.decode(state.heartbeat, settings.spec)
        if new.progress < held.progress:
            return state
    floor_ms = floor_of(min(new.through_ms, now_ms), settings)
    return replace(state, heartbeat=value, floor_ms=max(state.floor_ms, floor_ms))
