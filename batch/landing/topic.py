"""The source topic as the broker describes it now: where its partitions begin and end, and what
time the broker has reached by its own clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batch.landing.plan import TopicState
from impressions.clock import Clock
from impressions.kafka import broker_clock
from impressions.kafka.admin import connect
from impressions.kafka.offsets import listed
from impressions.kafka.topics import source_id
from impressions.kafka.unreplicated import with_unreplicated
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, OffsetSpec

_TIMEOUT_S = 30.0


def ask(settings: Settings, clock: Clock, until_ms: int | None = None) -> TopicState:
    """Where each partition begins and ends. Both clocks are read before that.

    Raises:
        ServiceError: no broker answers.   NotReady: there is no topic.   Refused: not P partitions.
    """
    from confluent_kafka.admin import OffsetSpec

    topic_id, asked_ms = source_id(settings).hex(), clock()
    broker_ms = broker_clock.now_ms(settings)
    with connect(settings) as admin:
        every = range(settings.partitions)
        unseen = with_unreplicated(admin.client, settings.kafka.topic, every, _TIMEOUT_S)
        end = _offsets(admin.client, settings, OffsetSpec.latest())
        first = _offsets(admin.client, settings, OffsetSpec.earliest())
        # Asked by time, -1 is "no such record": then all up to the end is before it.
        stop = end if until_ms is None else _before(admin.client, settings, until_ms, end)
        oldest_ms = _stamps(admin.client, settings, OffsetSpec.for_timestamp(0))
    return TopicState(
        settings.kafka.topic, topic_id, asked_ms, broker_ms, first, end, stop,
        min(oldest_ms, default=None), unseen,
    )  # fmt: skip


def first_record_ms(settings: Settings) -> int | None:
    """When the oldest record of the topic was ingested; None where it is empty. Raises as `ask`."""
    from confluent_kafka.admin import OffsetSpec

    with connect(settings) as admin:
        if settings.kafka.topic not in admin.identities([settings.kafka.topic]):
            return None
        stamps = _stamps(admin.client, settings, OffsetSpec.for_timestamp(0))
    return min(stamps, default=None)


def _before(
    client: AdminClient, settings: Settings, until_ms: int, end: Iterable[int]
) -> tuple[int, ...]:
    from confluent_kafka.admin import OffsetSpec

    offsets = _offsets(client, settings, OffsetSpec.for_timestamp(until_ms))
    return tuple(e if f < 0 else min(e, f) for f, e in zip(offsets, end, strict=True))


def _offsets(client: AdminClient, settings: Settings, asked: OffsetSpec) -> tuple[int, ...]:
    return tuple(at.offset for at in _list(client, settings, asked))


def _stamps(client: AdminClient, settings: Settings, asked: OffsetSpec) -> list[int]:
    return [at.timestamp for at in _list(client, settings, asked) if at.offset >= 0]


def _list(client: AdminClient, settings: Settings, asked: OffsetSpec) -> list[Any]:
    """By partition."""
    every = range(settings.partitions)
    found = listed(client, settings.kafka.topic, every, asked, _TIMEOUT_S)
    return [found[p] for p in every]
