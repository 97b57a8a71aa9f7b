"""A delta topic of which compaction left little: a worker's state comes back whole from it."""

from __future__ import annotations

import shutil

import pytest
from confluent_kafka import TopicPartition

from tests.broker import compact_soon, stream_settings
from tests.deltas.test_restore import first_gap
from tests.faults.stream import QUICK, SEED, assert_exact, wait_applied, workers
from tests.live import until
from tests.speed.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_a_worker_without_state_restores_from_a_compacted_topic_and_goes_on(tmp_path, broker):
    """Most of what it published is gone; its counts, and the log ids it has seen, are not."""
    settings = stream_settings(tmp_path, broker, partitions=1, slot_seconds=20, speed=QUICK)
    compact_soon(settings)
    traffic = Traffic(settings, SEED, profiles=10)
    at = TopicPartition(settings.kafka.deltas_topic, 0)

    def compacted():
        traffic.send(50)
        traffic.flush()
        wait_applied(first, settings)
        return first_gap(settings, at)

    with workers(settings, tmp_path) as start:
        first = start().ready()
        until(compacted, "the cleaner ran", 60)
        assert first.stop() == 0
        shutil.rmtree(settings.speed_dir)
        second = start().ready()
        traffic.resend_all()
        traffic.send(50)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=100)
        assert second.metric('impressions_events_total{layer="speed",outcome="duplicate"') > 0
