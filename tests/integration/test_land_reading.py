"""Reading one range of a partition, on a real broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from batch.landing.fetch import client_of
from batch.landing.part import Reading, Source, judged
from batch.landing.plan import Loss, Range
from impressions.clock import now_ms
from impressions.core.errors import Refused
from impressions.core.ingest_time import Carried
from impressions.core.spec import DAY_MS, Spec
from impressions.kafka.admin import connect
from impressions.settings.model import Settings
from tests.broker import TestBroker, stream_settings
from tests.integration.live import delete_records, send_bytes
from tests.speed.records import record_bytes

pytestmark = pytest.mark.kafka


def read(
    settings: Settings, part: Range, accept_loss: bool = False, at: Reading | None = None
) -> list[tuple[int, int, Any]]:
    """(offset, ingest time, value) of all records of a range."""
    source = Source(
        range=part, client=client_of(settings), topic=settings.kafka.topic,
        partitions=settings.partitions, accept_loss=accept_loss,
    )  # fmt: skip
    return [
        (int(offset), int(ms), value)
        for values, offsets, ingest_ms, _ in judged(source, Spec(slot_ms=1000), at)
        for offset, ms, value in zip(offsets, ingest_ms, values, strict=True)
    ]


def test_a_range_ends_by_position_where_the_last_offset_is_no_record(
    tmp_path: Path, broker: TestBroker
) -> None:
    """A transaction ends with a marker that is never delivered: one record, two offsets."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "gap"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(settings.kafka.topic, b"\xff", partition=0)
    producer.commit_transaction(20)
    assert [offset for offset, _, _ in read(settings, Range(0, 0, 2, 0))] == [0]


def test_only_the_range_is_read_and_the_carried_time_is_a_floor(
    tmp_path: Path, broker: TestBroker
) -> None:
    """Records before and behind it are not; their ingest time is not before what was carried."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    send_bytes(settings, [(0, b"\xff%d" % n) for n in range(9)])
    later_ms = 4_000_000_000_000
    found = read(settings, Range(0, 3, 6, later_ms))
    assert found == [(n, later_ms, b"\xff%d" % n) for n in (3, 4, 5)]


def test_records_that_are_gone_fail_the_task(tmp_path: Path, broker: TestBroker) -> None:
    settings = stream_settings(tmp_path, broker, partitions=1)
    send_bytes(settings, [(0, b"x")] * 5)
    delete_records(settings, {0: 3})
    with pytest.raises(Refused) as refused:
        read(settings, Range(0, 1, 5, 0))
    assert refused.value.reason == "records_lost"


def test_a_record_with_the_producers_time_is_refused(tmp_path: Path, broker: TestBroker) -> None:
    """Whatever the topic's settings say now: it may have been another when the record came."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"message.timestamp.type": "CreateTime"})
    send_bytes(settings, [(0, b"x")])
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"message.timestamp.type": "LogAppendTime"})
    with pytest.raises(Refused) as refused:
        read(settings, Range(0, 0, 1, 0))
    assert refused.value.reason == "not_append_time"


def test_records_with_the_producers_time_are_passed_over_once_that_is_accepted(
    tmp_path: Path, broker: TestBroker
) -> None:
    """Exactly those, by partition and offsets; a range may hold nothing else."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    send_bytes(settings, [(0, b"\xff0"), (0, b"\xff1")])
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"message.timestamp.type": "CreateTime"})
    send_bytes(settings, [(0, b"x")] * 3)
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"message.timestamp.type": "LogAppendTime"})
    send_bytes(settings, [(0, b"\xff5")])
    at = Reading(Carried())
    found = read(settings, Range(0, 0, 6, 0), accept_loss=True, at=at)
    assert [(offset, value) for offset, _, value in found] == [
        (0, b"\xff0"), (1, b"\xff1"), (5, b"\xff5")
    ]  # fmt: skip
    assert (at.passed, at.last.offset) == ([Loss(0, 2, 5)], 5)
    assert read(settings, Range(0, 2, 5, 0), accept_loss=True, at=at) == []


@pytest.mark.parametrize("days", [60, 338, 3 * 365])
def test_stamps_far_ahead_of_those_before_and_of_the_devices_count_with_the_devices_time(
    tmp_path: Path, broker: TestBroker, days: int
) -> None:
    """The topic was landed through a time long ago when the broker's clock was right; now it says
    `days` later, and the devices say 5 s later. The maximum stays."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    right_ms = now_ms() - days * DAY_MS
    event = {"title": 1, "location": 0, "event_ms": right_ms + 5000, "played": 0, "dwell_s": 0.0}
    send_bytes(settings, [(0, record_bytes((1, 7, [event])))] * 3)
    at = Reading(Carried(right_ms))
    found = read(settings, Range(0, 0, 3, right_ms), at=at)
    assert [ms for _, ms, _ in found] == [right_ms + 5000] * 3
    assert (at.carried, at.doubted) == (Carried(right_ms), 3)
