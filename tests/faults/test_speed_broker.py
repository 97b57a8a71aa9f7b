"""The broker slow, paused, stopped, killed: progress never runs ahead of what is published."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from impressions.clock import now_ms
from impressions.core.completeness import Incomplete, stream_reasons
from impressions.core.errors import NotReady
from impressions.deltas.store import open_primary, open_secondary, store_dir
from impressions.deltas.stream_state import stream_state
from impressions.formats import heartbeat
from impressions.kafka import client
from speed.partitions.opening import partition_path
from tests.broker import TestBroker, stream_settings
from tests.faults.size import scaled
from tests.faults.stream import (
    QUICK,
    SEED,
    Flow,
    Supervised,
    applied_by,
    assert_exact,
    wait_applied,
    workers,
)
from tests.live import last_values, source_ends, until
from tests.speed.traffic import Traffic
from tests.speed.worker_process import toml_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
_BURST, _MOST_ROUNDS = 5_000, 5
_LAG_MS = 4_000


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A broker that these tests may stop."""
    running = TestBroker(tmp_path_factory.mktemp("own"))
    yield running
    running.close()


@contextlib.contextmanager
def paused(broker: TestBroker):
    """A broker that takes every request and answers none."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def test_a_broker_that_does_not_answer_never_lets_progress_run_ahead(tmp_path, own):
    """Paused while flushes are under way. A worker killed meanwhile: neither what it said, nor its
    store, nor the group's commit is past the heartbeat in the topic. A worker asked to end: it
    finishes its flush when the broker answers again, exits 0, and leaves nothing to replay."""
    speed = QUICK | {"batch_records": 20}  # small flushes, so that a pause comes between two
    settings = stream_settings(tmp_path, own, partitions=1, slot_seconds=20, speed=speed)
    traffic, rounds, cut_short = Traffic(settings, SEED), 0, 0
    with workers(settings, tmp_path) as start:
        while rounds < scaled(1, 10) or (not cut_short and rounds < _MOST_ROUNDS):
            worker = at_work(start, settings, traffic)
            with paused(own):
                said = applied_by(worker)
                time.sleep(1)  # nothing can be published meanwhile
                worker.kill()
            published = published_offset(settings)
            assert said <= published + 1
            assert stored_offset(settings) <= published
            assert committed(settings) <= published + 1
            cut_short += published + 1 < source_ends(settings)[0]
            rounds += 1
        for _ in range(scaled(1, 10)):
            worker = at_work(start, settings, traffic)
            with paused(own):
                worker.popen.send_signal(signal.SIGTERM)
                with pytest.raises(subprocess.TimeoutExpired):
                    worker.popen.wait(1)
            assert worker.popen.wait(120) == 0
            assert "Traceback" not in worker.log
            assert stored_offset(settings) == published_offset(settings)
        last = start().ready()
        wait_applied(last, settings)
        assert last.metric("impressions_replayed_total") == 0
        assert_exact(settings, tmp_path, at_least=100)
    assert cut_short > 0, f"no pause came in mid-work; seed {SEED}"
    print(f"{rounds} pauses, {cut_short} in mid-work")


def at_work(start, settings, traffic):
    """A worker that has begun with a backlog that takes it several flushes."""
    traffic.send(_BURST)
    traffic.flush()
    before = published_offset(settings) + 1
    worker = start().ready()
    until(lambda: applied_by(worker) > before, "a flush is over")
    return worker


def test_a_broker_that_is_killed_and_comes_back_is_used_again(tmp_path, own):
    """A worker and a follower live through it, or end with an error and are started again.
    Meanwhile the copy says that the stream is behind; afterwards it is whole, and exact."""
    settings = stream_settings(tmp_path, own, partitions=2, slot_seconds=20, speed=QUICK)
    outages = (own.kill, own.stop)[: scaled(1, 2)]
    with workers(settings, tmp_path) as start, follower(settings, tmp_path) as log_file:
        supervised = Supervised(start)
        with Flow(settings, SEED + 2, records_per_s=100) as flow:
            until(lambda: reasons(settings) == (), "the stream is whole", 60)
            for how in outages:
                how()
                down_s = time.monotonic()
                until(lambda: Incomplete.STREAM_BEHIND in reasons(settings), "said to be behind")
                left_s = down_s + scaled(3, 30) - time.monotonic()
                time.sleep(max(0.0, left_s))
                own.start()
                until(lambda: reasons(settings) == (), "whole again", 90)
            flow.end()
        assert_exact(settings, tmp_path, at_least=100)
        assert 0 not in supervised.codes, "it does not end without an error"
        assert supervised.stop() == 0
        assert log_file.read_text().count("broker-away") == len(outages), "one line for each time"


@contextlib.contextmanager
def follower(settings, tmp_path):
    """`python -m impressions.deltas`, as a host runs it, and its log; the process ends with it."""
    config = tmp_path / "follower.toml"
    config.write_text(toml_of(settings.model_dump(mode="json", exclude_defaults=True)))
    log_file = tmp_path / "follower.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "impressions.deltas", "--config", str(config)], stderr=log
        )
    try:
        yield log_file
        assert process.poll() is None, log_file.read_text()
    finally:
        process.terminate()
        process.wait(20)


def reasons(settings) -> tuple[Incomplete, ...]:
    """What a server of this host would say of the live half of each answer, all shards."""
    try:
        reader = open_secondary(store_dir(settings), settings.home / "reader")
    except NotReady:
        return (Incomplete.DELTAS_MISSING,)
    with contextlib.closing(reader):
        states = [reader.state(partition) for partition in range(settings.partitions)]
    if None in states:
        return (Incomplete.DELTAS_MISSING,)
    found = [stream_state(state, settings.spec) for state in states]
    return tuple(
        reason for one in found for reason in stream_reasons(one, now_ms(), now_ms(), _LAG_MS)
    )


def published_offset(settings) -> int:
    """The source offset that the topic's heartbeat is at; -1 before the first."""
    value = last_values(settings).get(heartbeat.KEY)
    return -1 if value is None else heartbeat.decode(value, settings.spec).offset


def stored_offset(settings) -> int:
    """The source offset that the ended worker's own store is at; -1 where a kill left nothing."""
    store = open_primary(partition_path(settings.speed_dir / "worker-0", 0))
    with contextlib.closing(store):
        state = store.state(0)
        if state is None or state.heartbeat is None:
            return -1
        return heartbeat.decode(state.heartbeat, settings.spec).offset


def committed(settings) -> int:
    """Where the group would go on; -1001: it never committed."""
    consumer = Consumer(client.librdkafka(settings, group_id=settings.speed.group))
    (at,) = consumer.committed([TopicPartition(settings.kafka.topic, 0)], timeout=10)
    consumer.close()
    return at.offset
