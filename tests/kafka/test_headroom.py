"""How long the topic still has what is not landed, asked of a real broker."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from confluent_kafka import Producer

from impressions.core.spec import DAY_MS
from impressions.kafka import client
from impressions.kafka.admin import connect
from impressions.status.facts import Lake
from impressions.status.headroom import read_headroom
from impressions.status.questions import Absent
from impressions.status.stream import read_stream
from tests.broker import TestBroker, read_topic, stream_settings

HOUR_MS = 3_600_000

pytestmark = pytest.mark.kafka


def lake(*landed: int) -> Lake:
    return Lake(1, landed, {}, frozenset(), ())


def test_the_first_record_that_is_not_landed_says_it(tmp_path: Path, broker: TestBroker) -> None:
    """Three records in partition 0, one of them landed: its second one's stamp and retention.ms.
    In partition 1 nothing waits. Read back four days later, so much less is left."""
    settings = stream_settings(tmp_path, broker, partitions=2, kafka={"retention_days": 7})
    producer = Producer(client.librdkafka(settings))
    for value in (b"a", b"b" * 200_000, b"c"):
        producer.produce(settings.kafka.topic, value, partition=0)
        assert producer.flush(10) == 0
    stamps = [message.timestamp()[1] for message in read_topic(settings, settings.kafka.topic)[0]]
    stream = read_stream(settings)
    assert (stream.retention_ms, stream.retention_bytes) == (7 * DAY_MS, -1)

    found = read_headroom(settings, stream, lake(1, 0))
    assert found.left_ms == {0: stamps[1] + 7 * DAY_MS - stream.at_ms, 1: 7 * DAY_MS}
    later = dataclasses.replace(stream, at_ms=stamps[1] + 4 * DAY_MS)
    assert read_headroom(settings, later, lake(1, 0)).least_ms == 3 * DAY_MS
    assert read_headroom(settings, later, lake(3, 0)).least_ms == 7 * DAY_MS
    with pytest.raises(Absent):
        read_headroom(settings, stream, lake())


def test_a_shorter_retention_and_a_limit_of_bytes_are_seen(
    tmp_path: Path, broker: TestBroker
) -> None:
    """What the topic has counts, not what the settings would make it."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    with connect(settings) as admin:
        limits = {"retention.ms": str(HOUR_MS), "retention.bytes": "1000000"}
        admin.alter(settings.kafka.topic, limits)
    found = read_headroom(settings, read_stream(settings), lake(0))
    assert (found.least_ms, found.retention_ms, found.by_bytes) == (HOUR_MS, HOUR_MS, True)
