"""One profile that does more than all others: its answers stay exact, and nobody waits for it."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from impressions.clock import now_ms
from impressions.formats import delta_block, heartbeat
from impressions.kafka import client
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from tests.broker import stream_settings
from tests.faults.size import scaled
from tests.faults.stream import QUICK, assert_exact, wait_applied, workers
from tests.live import messages_of
from tests.speed.records import record_bytes

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
HOT, NEIGHBOURS = 1, range(2, 12)
PER_RECORD, BOUND_S = 100, 20


def sender(settings):
    producer = Producer(client.librdkafka(settings, linger_ms=5, message_max_bytes=8 << 20))

    def send(*logs) -> None:
        producer.produce(settings.kafka.topic, record_bytes(*logs), partition=0)
        producer.poll(0)

    return send, lambda: producer.flush(60)


def shown(title: int) -> dict:
    return {
        "title": title, "location": 0, "event_ms": now_ms(), "played": title % 2, "dwell_s": 1.5
    }  # fmt: skip


def test_a_hundred_thousand_titles_of_one_profile_in_one_slot(tmp_path, broker):
    """Each title in a log of its own, so the slot goes on in hundreds of parts. Every answer is
    exact, no block is near the limit, and the neighbours' events, sent in between, are published
    as they come."""
    titles = scaled(160_000, 500_000)
    settings = stream_settings(tmp_path, broker, partitions=1, speed=QUICK)
    send, flush = sender(settings)
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        for first in range(0, titles, PER_RECORD):
            send(*[(HOT, first + i + 1, [shown(first + i)]) for i in range(PER_RECORD)])
            neighbour = NEIGHBOURS[first // PER_RECORD % len(NEIGHBOURS)]
            send((neighbour, first + 1, [shown(5)]))
        assert flush() == 0
        wait_applied(worker, settings, 120)
        blocks = published(settings)
        hot = {key: len(value) for key, value, _ in blocks if key[:8] == HOT.to_bytes(8, "big")}
        assert 200 < len(hot) < 1_000
        assert max(hot.values()) < MAX_MESSAGE_BYTES / 100
        assert worst_neighbour_s(settings, blocks) < BOUND_S
        assert worker.popen.poll() is None
        assert_exact(settings, tmp_path, at_least=titles)


def published(settings) -> list[tuple[bytes, bytes, int]]:
    """(key, block, time of publication in ms) of each block in the delta topic."""
    return [
        (m.key(), m.value(), m.timestamp()[1])
        for m in messages_of(settings, settings.kafka.deltas_topic)
        if m.key() != heartbeat.KEY
    ]


def worst_neighbour_s(settings, blocks) -> float:
    """The longest that a neighbour's event waited from the broker's stamp to its publication."""
    appended = [m.timestamp()[1] for m in messages_of(settings, settings.kafka.topic)]
    hot = HOT.to_bytes(8, "big")
    waits, seen = [], {}
    for key, value, published_ms in blocks:
        if key[:8] != hot:
            offset = delta_block.header(value, settings.spec).offset
            waits.append(published_ms - appended[offset])
            seen[key] = offset
    assert len(seen) >= len(NEIGHBOURS)
    print(f"neighbours waited at most {max(waits) / 1000:.2f} s")
    return max(waits) / 1000
