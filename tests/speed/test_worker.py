"""A real worker on a real broker, when nothing goes wrong; tests/faults has what does."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from impressions.kafka import client
from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, assert_exact, workers
from tests.live import everything_sent, until
from tests.speed.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.representative]


def test_live_traffic_is_exact_and_its_counts_balance(tmp_path, broker):
    """Resends, late, early, out-of-window and broken impressions; read = the sum of outcomes."""
    settings = stream_settings(tmp_path, broker, slot_seconds=20, speed=QUICK)
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        traffic = Traffic(settings, SEED)
        traffic.send(400)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=500)
        sent = everything_sent(settings)
        until(
            lambda: worker.metric("impressions_events_total") == sum(len(log[3]) for log in sent),
            "applied + duplicate + rejected = read",
        )
        for outcome in ("applied", "duplicate", "rejected"):
            assert worker.metric(f'impressions_events_total{{layer="speed",outcome="{outcome}"') > 0
        until(lambda: lag(settings) == 0, "monitors of the group see that nothing is left")
        assert worker.stop() == 0
        assert "Traceback" not in worker.log
        assert "older-block" not in worker.log, "its own records are nobody else's"


def lag(settings):
    """Records that the group has not committed; of a partition without any: all."""
    name = settings.kafka.topic
    consumer = Consumer(client.librdkafka(settings, group_id=settings.speed.group))
    partitions = [TopicPartition(name, p) for p in range(settings.partitions)]
    ends = [consumer.get_watermark_offsets(at, timeout=10)[1] for at in partitions]
    found = [max(0, at.offset) for at in consumer.committed(partitions, timeout=10)]
    consumer.close()
    assert sum(ends) >= 400
    return sum(ends) - sum(found)
