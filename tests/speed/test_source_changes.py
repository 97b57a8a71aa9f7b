"""The source loses records, or is another topic of the same name: said, never papered over."""

import contextlib
import os
import signal

import pytest

from impressions.clock import now_ms
from impressions.formats import heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.kafka import topics
from impressions.kafka.admin import connect
from tests.broker import stream_settings
from tests.live import assert_stream_is_exact, copy_of_deltas, last_values, until
from tests.speed.traffic import Traffic
from tests.speed.worker_process import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WORKER = {"session_timeout_s": 6, "clock_margin_s": 0.2, "batch_records": 50, "stall_s": 20}


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, partitions=1, slot_seconds=20, speed=WORKER)


@pytest.fixture
def start(settings, tmp_path):
    """Starts workers; ends those still alive after the test."""
    with contextlib.ExitStack() as stack:

        def started(**sections):
            chosen = settings.model_copy(update=sections)
            worker = WorkerProcess(chosen, tmp_path)
            stack.callback(worker.close)
            return worker

        yield started


def send(settings, records: int, seed: int = 1) -> None:
    traffic = Traffic(settings, seed)
    traffic.send(records)
    traffic.flush()


def beat_of(settings):
    """The newest heartbeat of the one partition; None before the first."""
    value = last_values(settings).get(heartbeat.KEY)
    return None if value is None else heartbeat.decode(value, settings.spec)


def delete_before(settings, offset: int) -> None:
    """What retention does."""
    from confluent_kafka import TopicPartition

    with connect(settings) as admin:
        at = TopicPartition(settings.kafka.topic, 0, offset)
        for future in admin.client.delete_records([at]).values():
            assert future.result().low_watermark == offset


def recreate(settings, name: str) -> None:
    with connect(settings) as admin:
        for future in admin.client.delete_topics([name]).values():
            future.result()
        until(lambda: name not in admin.names(), "the topic is gone")
    until(lambda: topics.create(settings)[name] == "created", "the topic is there again")


def test_a_backlog_after_lost_records_is_applied_and_the_loss_is_said(settings, start, tmp_path):
    """More records than one batch takes; what was lost is older than `since`."""
    send(settings, 400)
    delete_before(settings, 10)
    worker = start().ready()
    until(lambda: (b := beat_of(settings)) and b.offset == 399, "the backlog is applied")
    assert FROM_THE_FIRST_MS < beat_of(settings).since_ms <= now_ms()
    store = copy_of_deltas(settings, tmp_path / "copy")
    assert assert_stream_is_exact(settings, store, now_ms()) > 100  # the oracle reads what is left
    store.close()
    assert "records-lost" in worker.log
    assert worker.log.count("WARNING gap") == 0


def test_a_partition_that_lost_everything_still_says_how_far_it_is(settings, start):
    send(settings, 20)
    delete_before(settings, 20)
    start().ready()
    beat = until(lambda: beat_of(settings), "a heartbeat")
    assert beat.offset == 19
    assert beat.since_ms > now_ms() - 60_000


@pytest.mark.parametrize("left", [0, pytest.param(40, marks=pytest.mark.representative)])
def test_what_the_source_lost_while_a_worker_stood_still_is_said(settings, start, left):
    """All that it had not seen, or a part: it gets no record from which it could know."""
    worker = start().ready()
    send(settings, 30)
    until(lambda: (b := beat_of(settings)) and b.offset == 29, "30 records are applied")
    worker.popen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.popen.pid, os.WSTOPPED)
    send(settings, 1, seed=2)  # all that answers the fetch which is under way
    send(settings, 99, seed=3)
    delete_before(settings, 130 - left)
    worker.popen.send_signal(signal.SIGCONT)
    until(lambda: beat_of(settings).offset == 129, "it is at the end")
    assert beat_of(settings).since_ms > FROM_THE_FIRST_MS
    assert worker.log.count("records-lost") == 1
    assert worker.log.count("WARNING gap") == 0


def test_a_source_made_again_ends_the_worker_and_a_raised_epoch_goes_on(settings, start, tmp_path):
    """It does not take the new records for old ones; what the old topic brought stays counted."""
    worker = start().ready()
    send(settings, 50)
    until(lambda: (b := beat_of(settings)) and b.offset == 49, "50 records are applied")
    recreate(settings, settings.kafka.topic)
    assert worker.popen.wait(60) in (5, 7), "it saw no topic, or the other one"
    codes = [start().popen.wait(60)]
    if codes == [8]:  # the group had assigned nothing yet; joining again cures that
        codes.append(start().popen.wait(60))
    assert codes[-1] == 7, "nor does it start on the other one"
    send(settings, 30, seed=2)
    start(stream=settings.stream.model_copy(update={"epoch": 2})).ready()
    until(lambda: (b := beat_of(settings)) and (b.epoch, b.offset) == (2, 29), "30 new ones")
    assert beat_of(settings).since_ms > FROM_THE_FIRST_MS


def test_a_delta_topic_made_again_is_filled_again_from_the_source(settings, start, tmp_path):
    """A heartbeat that speaks of blocks in the topic before counts as none."""
    worker = start().ready()
    send(settings, 60)
    until(lambda: (b := beat_of(settings)) and b.offset == 59, "60 records are applied")
    recreate(settings, settings.kafka.deltas_topic)
    assert worker.popen.wait(60) != 0
    start().ready()
    with connect(settings) as admin:
        name = settings.kafka.deltas_topic
        deltas_id = admin.identities([name])[name][0]
    until(
        lambda: (b := beat_of(settings)) and (b.deltas_id, b.offset) == (deltas_id, 59),
        "the blocks are there again",
    )
    store = copy_of_deltas(settings, tmp_path / "copy")
    assert assert_stream_is_exact(settings, store, now_ms()) > 30
    store.close()
