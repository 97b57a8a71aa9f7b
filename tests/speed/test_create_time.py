"""Records from a moment in which the topic took the producer's time: named, and passed over."""

from __future__ import annotations

import contextlib
import json

import pytest

from impressions.formats import heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.kafka.admin import connect
from speed.applying import create_time
from speed.applying.source_record import SourceRecord
from tests.broker import stream_settings
from tests.faults.stream import QUICK
from tests.live import last_values, until
from tests.speed.traffic import Traffic
from tests.speed.worker_process import WorkerProcess


def record(offset: int, stamped: bool) -> SourceRecord:
    return SourceRecord(offset, 1_000 + offset, b"", stamped)


MIXED = [record(0, True), record(1, False), record(2, False), record(3, True), record(5, False)]


def test_records_without_a_stamp_are_ranges_of_offsets():
    assert create_time.ranges(MIXED) == [(1, 3), (5, 6)]
    runs = [[r.offset for r in run] for run in create_time.runs(MIXED)]
    assert runs == [[0], [1, 2], [3], [5]]
    assert create_time.ranges([]) == create_time.runs([]) == []


def test_the_refusal_names_partition_offsets_and_the_way_on():
    error = create_time.refused("impressions", 7, create_time.ranges(MIXED))
    assert "impressions, partition 7: 3 records" in error.message
    assert "1..3, 5..6" in error.message
    assert "impressions speed --accept-loss" in error.hint


@pytest.mark.slow
@pytest.mark.kafka
def test_exactly_those_records_are_passed_over_once_that_is_accepted(tmp_path, broker):
    """10 stamped, 5 not, 20 stamped: refused at every start with the offsets, then 30 are applied,
    and the heartbeat says that something is missing before."""
    settings = stream_settings(tmp_path, broker, partitions=1, slot_seconds=20, speed=QUICK)
    send(settings, 10)
    set_stamp(settings, "CreateTime")
    send(settings, 5)
    set_stamp(settings, "LogAppendTime")
    send(settings, 20)
    for _ in range(2):
        with started(settings, tmp_path) as worker:
            assert worker.popen.wait(60) == 7
            printed = worker.popen.stdout.read().decode()
            error = json.loads(printed[printed.index("}") + 1 :])
            assert error["reason"] == "not_append_time"
            assert "partition 0: 5 records" in error["message"]
            assert "10..15" in error["message"]
            assert "--accept-loss" in error["hint"]
    with started(settings, tmp_path, flags=["--accept-loss"]) as worker:
        worker.ready()
        until(lambda: (b := beat_of(settings)) and b.offset == 34, "it is at the end")
        assert beat_of(settings).since_ms > FROM_THE_FIRST_MS
        assert "passed-over partition=0 records=5 offsets=10..15" in worker.log
        assert worker.metric("impressions_passed_over_records_total") == 5
        assert worker.stop() == 0
    with started(settings, tmp_path) as worker:
        worker.ready()
        send(settings, 1)
        until(lambda: beat_of(settings).offset == 35, "it goes on without the flag")


@contextlib.contextmanager
def started(settings, tmp_path, **more):
    worker = WorkerProcess(settings, tmp_path, **more)
    try:
        yield worker
    finally:
        worker.close()


def send(settings, records: int) -> None:
    traffic = Traffic(settings, 1)
    traffic.send(records)
    traffic.flush()


def set_stamp(settings, kind: str) -> None:
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"message.timestamp.type": kind})


def beat_of(settings):
    value = last_values(settings).get(heartbeat.KEY)
    return None if value is None else heartbeat.decode(value, settings.spec)
