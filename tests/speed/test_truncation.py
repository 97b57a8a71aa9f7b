"""A source that was truncated and filled again is refused: its offsets are other records."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from impressions.formats import heartbeat
from impressions.formats.flush_framing import Cut
from impressions.kafka import last_record
from impressions.kafka.last_record import Comparison, LastRecord
from tests.broker import TestBroker, read_topic, stream_settings
from tests.live import last_values, until
from tests.speed.traffic import Traffic
from tests.speed.worker_process import WorkerProcess

pytestmark = pytest.mark.kafka
WORKER = {"session_timeout_s": 6, "clock_margin_s": 0.2}


class Breakable:
    """A broker of its own, a topic of one partition in it, and workers."""

    def __init__(self, path: Path, stack: contextlib.ExitStack):
        self._path, self._stack = path, stack
        self.broker = TestBroker(path / "broker")
        stack.callback(self.broker.close)
        self.settings = stream_settings(path, self.broker, 1, slot_seconds=20, speed=WORKER)

    def send(self, records: int, seed: int) -> None:
        traffic = Traffic(self.settings, seed)
        traffic.send(records)
        traffic.flush()

    def worker(self, **more) -> WorkerProcess:
        settings = self.settings.model_copy(update=more)
        started = WorkerProcess(settings, self._path)
        self._stack.callback(started.close)
        return started

    @property
    def applied(self) -> int:
        value = last_values(self.settings).get(heartbeat.KEY)
        return -1 if value is None else heartbeat.decode(value, self.settings.spec).offset


@pytest.fixture
def stream(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Breakable(tmp_path, stack)


@pytest.mark.slow
def test_a_worker_does_not_start_on_a_source_that_was_truncated_and_filled_again(stream):
    """30 records were applied, 50 others are there now: refused at each start, and a raised epoch
    reads all of them."""
    worker = stream.worker().ready()
    stream.send(30, seed=1)
    until(lambda: stream.applied == 29, "30 records are applied")
    assert worker.stop() == 0
    stream.broker.cut(stream.settings.kafka.topic)
    stream.send(50, seed=2)
    for _ in range(2):
        refused = stream.worker()
        assert refused.popen.wait(60) == 7
        assert "topic_cut" in refused.popen.stdout.read().decode()
    stream.worker(stream=stream.settings.stream.model_copy(update={"epoch": 2})).ready()
    until(lambda: stream.applied == 49, "the epoch begins again")


@pytest.mark.slow
def test_a_worker_that_lived_through_the_truncation_ends_and_does_not_start_again(stream):
    """It slept while the source was truncated and filled beyond its offset: no offset shows it."""
    worker = stream.worker().ready()
    stream.send(30, seed=1)
    until(lambda: stream.applied == 29, "30 records are applied")
    worker.popen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.popen.pid, os.WSTOPPED)
    stream.broker.cut(stream.settings.kafka.topic)
    stream.send(80, seed=2)
    worker.popen.send_signal(signal.SIGCONT)
    assert worker.popen.wait(60) == 7
    assert "topic_cut" in worker.popen.stdout.read().decode()
    again = stream.worker()
    assert again.popen.wait(60) == 7, "what it wrote of the other records has not made it forget"


def test_what_is_at_an_offset_is_the_same_another_or_gone(tmp_path, broker):
    """By stamp and bytes; a record that retention took proves nothing."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    traffic = Traffic(settings, 1)
    traffic.send(5)
    traffic.flush()
    message = read_topic(settings, settings.kafka.topic)[0][3]
    last = LastRecord.of(3, message.timestamp()[1], message.value())
    others = [replace(last, offset=2), replace(last, digest=1), replace(last, offset=5)]
    found = [look(settings, each) for each in (last, *others)]
    assert found == [Comparison.SAME, Comparison.OTHER, Comparison.OTHER, Comparison.OTHER]
    assert look(settings, LastRecord()) is None
    delete_before(settings, 4)
    assert look(settings, last) is Comparison.GONE


def test_a_large_record_is_known_by_its_beginning_and_its_length():
    """The worker keeps no more of it, the lander all."""
    value = b"x" * 200_000
    assert LastRecord.of(1, 2, value) == LastRecord.of(1, 2, Cut.of(value))
    known = {LastRecord.of(1, 2, v).digest for v in (value, value + b"x", b"x", b"", None)}
    assert len(known) == 5
    assert LastRecord.of(1, 3, b"x") != LastRecord.of(1, 2, b"x")


def look(settings, last: LastRecord) -> Comparison | None:
    return last_record.compare(settings, settings.kafka.topic, {0: last}).get(0)


def delete_before(settings, offset: int) -> None:
    from confluent_kafka import TopicPartition

    from impressions.kafka.admin import connect

    with connect(settings) as admin:
        at = TopicPartition(settings.kafka.topic, 0, offset)
        for future in admin.client.delete_records([at]).values():
            future.result()


@pytest.mark.slow
def test_the_broken_disk_is_one(stream):
    """The partition begins at 0 again: the tests above need that."""
    stream.send(3, seed=1)
    stream.broker.cut(stream.settings.kafka.topic)
    stream.send(1, seed=2)
    assert [m.offset() for m in read_topic(stream.settings, stream.settings.kafka.topic)[0]] == [0]
