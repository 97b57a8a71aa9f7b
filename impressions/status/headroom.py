"""How long until the topic forgets what is not landed: asked of the broker, not guessed.

    headroom of a partition = stamp of its first record that is not landed + retention.ms - now

A record goes with its segment, when the newest record of that is older than retention.ms: never
sooner than this says. A partition in which nothing waits has the whole retention; one that has lost
records already has none. A topic limited by bytes (retention.bytes) may forget sooner, which is
said beside the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from impressions.settings.model import Settings
from impressions.status.facts import Lake
from impressions.status.questions import Absent, Unknown
from impressions.status.stream import Stream

_LITTLE = {
    "enable_partition_eof": "true",
    "queued_min_messages": 1,
    "max_partition_fetch_bytes": 1 << 16,  # a larger record comes all the same
}
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Headroom:
    """Of the topic.

    Attributes:
        left_ms: by partition, never below 0; None without a limit (retention.ms is -1).
        retention_ms: of the topic; -1 is without a limit.
        by_bytes: retention.bytes is set, so records may go sooner.
    """

    left_ms: Mapping[int, int | None]
    retention_ms: int
    by_bytes: bool

    @property
    def least_ms(self) -> int | None:
        """Of the partition that has least; None where nothing is ever forgotten."""
        return min((ms for ms in self.left_ms.values() if ms is not None), default=None)


def read_headroom(settings: Settings, stream: Stream | Unknown, lake: Lake | Unknown) -> Headroom:
    """Ask the broker for the first record of each partition that is not landed.

    Raises:
        Absent: the topic or raw is not known, or the topic was never landed.
        ServiceError: the broker does not send one of the records.
    """
    if isinstance(stream, Unknown) or isinstance(lake, Unknown):
        raise Absent("not known without the topic and raw")
    if len(lake.landed_offsets) != len(stream.partitions):
        raise Absent("the topic was never landed")
    wanted = {
        p: max(at, stream.partitions[p].first)
        for p, at in enumerate(lake.landed_offsets)
        if at < stream.partitions[p].end
    }
    stamps = _stamps(settings, stream.topic, wanted) if wanted else {}
    lost = {p for p, at in enumerate(lake.landed_offsets) if at < stream.partitions[p].first}
    return headroom(stream.partitions, stamps, lost, stream.retention_ms, stream.at_ms,
                    by_bytes=stream.retention_bytes >= 0)  # fmt: skip


def headroom(
    partitions: Mapping[int, object],
    stamps: Mapping[int, int],
    lost: set[int],
    retention_ms: int,
    now_ms: int,
    *,
    by_bytes: bool = False,
) -> Headroom:
    """From what was asked. Pure.

    Args:
        stamps: of the first record that is not landed, of partitions that have one.
        lost: partitions that have forgotten such records.   retention_ms: -1 is without a limit.
    """

    def left(p: int) -> int | None:
        if p in lost:
            return 0
        if retention_ms < 0:
            return None
        if p not in stamps:
            return retention_ms
        return max(0, min(retention_ms, stamps[p] + retention_ms - now_ms))

    return Headroom({p: left(p) for p in partitions}, retention_ms, by_bytes)


def _stamps(settings: Settings, topic: str, wanted: Mapping[int, int]) -> dict[int, int]:
    """The broker's stamp of the first record at or after an offset, by partition; a partition in
    which only Kafka's own records follow is left out."""
    from confluent_kafka import TopicPartition

    from impressions.kafka.offsets import reader, records_of

    found: dict[int, int] = {}
    open_ = set(wanted)
    with reader(settings, **_LITTLE) as consumer:
        for message in records_of(consumer, topic, wanted, open_, _TIMEOUT_S):
            p = message.partition()
            if p in open_:
                found[p] = int(message.timestamp()[1])
                open_.discard(p)
                consumer.incremental_unassign([TopicPartition(topic, p)])
    return found
