"""One task's reading of one partition, on a real broker and without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from batch.kafka_source import Plan, rows_of
from batch.land_plan import Range
from batch.land_rows import END
from impressions.errors import Refused
from impressions.kafka.admin import connect
from impressions.kafka.client import reading
from impressions.shell.settings import Settings
from tests.broker import TestBroker, stream_settings
from tests.integration.live import delete_records, send_bytes

pytestmark = pytest.mark.kafka


def read(settings: Settings, part: Range) -> list[dict[str, Any]]:
    """All rows of a range, rejected ones and the end: the records here are noise."""
    client = reading(settings, enable_partition_eof=True)
    plan = Plan(client, settings.kafka.topic, "ab" * 16, settings.partitions, 1000, (part,))
    return [row for batch in rows_of(plan, part) for row in batch.to_pylist()]


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
    *_, end = read(settings, Range(0, 0, 2, 0))
    assert (end["kind"], end["log_offset"], end["records"], end["read"]) == (END, 2, 1, 1)


def test_only_the_range_is_read_and_the_carried_time_is_a_floor(
    tmp_path: Path, broker: TestBroker
) -> None:
    """Records before and behind it are not; their ingest time is not before what was carried."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    send_bytes(settings, [(0, b"\xff%d" % n) for n in range(9)])
    later_ms = 4_000_000_000_000
    *rows, end = read(settings, Range(0, 3, 6, later_ms))
    assert [row["value"] for row in rows] == [b"\xff3", b"\xff4", b"\xff5"]
    assert {row["ingest_time"].timestamp() * 1000 for row in [*rows, end]} == {later_ms}


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
