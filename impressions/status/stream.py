"""What the broker knows of the live path: where the source ends, how far the worker says it is.

The worker's word is the heartbeat, the last record of each partition of the delta topic but for the
blocks of a batch under way. So the topic is read from its end backwards, a little and then more,
until every partition has shown one. Nothing is committed and no group is joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impressions.clock import Clock, now_ms
from impressions.core.errors import Refused
from impressions.core.spec import Spec
from impressions.formats import heartbeat
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka import topics
from impressions.kafka.admin import Admin, connect
from impressions.kafka.client import bootstrap
from impressions.settings.model import Settings

TIMEOUT_S = 4.0
_FIRST_LOOK, _WIDER, _LAST_LOOK = 16, 16, 65_536


@dataclass(frozen=True)
class SourcePartition:
    """Offsets [first, end) that the broker holds; `newest_ms`: of the newest record, if any."""

    first: int
    end: int
    newest_ms: int | None


@dataclass(frozen=True)
class Stream:
    """The topics and the worker's last words.

    Attributes:
        topic_id: of the source topic, hex.
        at_ms: when the heartbeats were read.
        beats: by partition; those of which nothing was found are left out.
        fault: a topic's setting that is wrong, with the line that fixes it.
        retention_ms, retention_bytes: of the source topic; -1 is without a limit.
    """

    bootstrap: str
    topic: str
    topic_id: str
    partitions: dict[int, SourcePartition]
    at_ms: int
    beats: dict[int, Heartbeat]
    fault: tuple[str, str | None] | None
    retention_ms: int = -1
    retention_bytes: int = -1


def read_stream(settings: Settings, clock: Clock = now_ms) -> Stream:
    """Ask the broker.

    Raises:
        NotReady: no broker is configured, or a topic is absent.
        Refused: a topic has another P, or heartbeats are of another spec.
        ServiceError: the broker does not answer.
    """
    at, fault = bootstrap(settings), _fault(settings)
    topic_id = topics.source_id(settings, timeout_s=TIMEOUT_S)
    with connect(settings, TIMEOUT_S) as admin:
        source = _offsets(admin, settings.kafka.topic, settings.partitions)
        deltas = _offsets(admin, settings.kafka.deltas_topic, settings.partitions)
        ((deltas_id, _),) = admin.identities([settings.kafka.deltas_topic]).values()
        configs = admin.describe([settings.kafka.topic])[settings.kafka.topic].configs
    last = last_heartbeats(settings, {p: (d.first, d.end) for p, d in deltas.items()})
    beats = {p: beat for p, beat in last.items() if beat.deltas_id == deltas_id}
    kept = (int(configs.get(f"retention.{unit}", "-1")) for unit in ("ms", "bytes"))
    return Stream(at, settings.kafka.topic, topic_id.hex(), source, clock(), beats, fault, *kept)


def newest_record_ms(settings: Settings, timeout_s: float = TIMEOUT_S) -> int | None:
    """The broker's stamp of the newest record of the source; None where it holds none.

    Raises:
        NotReady: no broker is configured.
        ServiceError: it does not answer, or the topic is absent.
    """
    with connect(settings, timeout_s) as admin:
        parts = _offsets(admin, settings.kafka.topic, settings.partitions)
    return max((p.newest_ms for p in parts.values() if p.newest_ms is not None), default=None)


def _fault(settings: Settings) -> tuple[str, str | None] | None:
    """A wrong setting of a topic is reported beside everything else; another P ends it here."""
    try:
        topics.check(settings, timeout_s=TIMEOUT_S)
    except Refused as error:
        if error.reason != "topic_config":
            raise
        return error.message, error.hint
    return None


def _offsets(admin: Admin, topic: str, partitions: int) -> dict[int, SourcePartition]:
    from confluent_kafka.admin import OffsetSpec

    from impressions.kafka.offsets import listed

    first, end, newest = (
        listed(admin.client, topic, range(partitions), asked, admin.timeout_s)
        for asked in (OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp())
    )
    return {
        p: SourcePartition(
            first[p].offset,
            end[p].offset,
            newest[p].timestamp if newest[p].offset >= 0 else None,
        )
        for p in range(partitions)
    }


def last_heartbeats(
    settings: Settings, ranges: Mapping[int, tuple[int, int]]
) -> dict[int, Heartbeat]:
    """The newest heartbeat of each partition, looked for in the last records of its range."""
    from impressions.kafka.offsets import reader

    found: dict[int, Heartbeat] = {}
    depth = _FIRST_LOOK
    with reader(settings, enable_partition_eof="true", fetch_wait_max_ms="10") as consumer:
        while depth <= _LAST_LOOK:
            wanted = {
                p: max(first, end - depth)
                for p, (first, end) in ranges.items()
                if p not in found and first < end
            }
            if not wanted:
                break
            found |= _read(consumer, settings.kafka.deltas_topic, wanted, settings.spec)
            if all(start == ranges[p][0] for p, start in wanted.items()):
                break
            depth *= _WIDER
    return found


def _read(consumer: Any, topic: str, starts: Mapping[int, int], spec: Spec) -> dict[int, Heartbeat]:
    """The newest heartbeat by partition, from these offsets to the end."""
    from impressions.kafka.offsets import records_of

    found: dict[int, Heartbeat] = {}
    for message in records_of(consumer, topic, starts, set(starts), TIMEOUT_S):
        p = message.partition()
        if message.key() == heartbeat.KEY and message.value() is not None:
            beat = heartbeat.decode(message.value(), spec)
            # An idle partition's beats differ in `through_ms` only: the last one counts.
            if p not in found or beat.progress >= found[p].progress:
                found[p] = beat
    return found
