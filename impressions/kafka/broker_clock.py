"""What time the broker has, by its own clock: the second clock beside that of this host.

Kafka answers no such question, but it stamps what it appends. So an empty record goes to a topic of
its own, with one partition whose records the broker stamps and deletes within hours, and the
acknowledgement brings the stamp. A table or a stream is claimed to be complete only as far as both
clocks have come: one that is ahead by a month claims nothing.
"""

from __future__ import annotations

from typing import Any

from impressions.clock import monotonic_s
from impressions.core.errors import Refused, ServiceError
from impressions.kafka.admin import silent_logger
from impressions.kafka.client import librdkafka
from impressions.settings.model import Settings

_TIMEOUT_S = 10.0


def now_ms(settings: Settings, timeout_s: float = _TIMEOUT_S) -> int:
    """The broker's clock, epoch milliseconds; it was asked after the call began.

    Raises:
        ServiceError: the broker did not acknowledge the record in time.
        Refused: the topic's records bear the producer's time.
    """
    from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Producer

    topic, acked = settings.kafka.clock_topic, list[Any]()
    producer = Producer({**librdkafka(settings, acks="all"), "logger": silent_logger()})
    producer.produce(topic, b"", on_delivery=lambda error, message: acked.extend((error, message)))
    deadline_s = monotonic_s() + timeout_s
    while not acked and monotonic_s() < deadline_s:
        producer.poll(0.05)
    if not acked or acked[0] is not None:
        producer.purge()
        raise ServiceError(
            f"topic {topic}: the broker's time is not known: {acked[0] if acked else 'no answer'}",
            hint="impressions topics create, and may this user write to it?",
            reason="broker_clock",
        )
    kind, stamp_ms = acked[1].timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        raise Refused(
            f"topic {topic}: its records bear the producer's time, expected the broker's",
            hint="impressions topics create --fix",
            reason="topic_config",
        )
    return int(stamp_ms)
