"""Real workers on a real broker: killed, stopped, joined, paused; the stream stays exact."""

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import time

import pytest
from confluent_kafka import Producer

from impressions import delta_block
from impressions.clock import now_ms
from impressions.kafka import client
from impressions.shard import shard_of
from tests.broker import stream_settings
from tests.live import (
    assert_stream_is_exact,
    caught_up,
    everything_sent,
    last_values,
    unapplied,
    until,
)
from tests.speed.traffic import Traffic
from tests.speed.worker_process import WorkerProcess

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("SEED", "20261121"))


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(
        tmp_path, broker, slot_seconds=20, speed={"session_timeout_s": 6, "clock_margin_s": 0.2}
    )


@pytest.fixture
def start(settings, tmp_path):
    """Starts workers; ends those still alive after the test."""
    with contextlib.ExitStack() as stack:

        def started(**environment):
            worker = WorkerProcess(settings, tmp_path, **environment)
            stack.callback(worker.close)
            return worker

        yield started


def assert_exact(settings, tmp_path, at_least: int):
    store = caught_up(settings, tmp_path)
    try:
        assert assert_stream_is_exact(settings, store, now_ms()) >= at_least
    finally:
        store.close()


def test_live_traffic_is_exact_and_its_counts_balance(settings, start, tmp_path):
    """Resends, late, early, out-of-window and broken impressions; read = the sum of outcomes."""
    worker = start().ready()
    traffic = Traffic(settings, SEED)
    traffic.send(400)
    traffic.flush()
    assert_exact(settings, tmp_path, at_least=500)
    told = everything_sent(settings)
    until(
        lambda: worker.metric("impressions_events_total") == sum(len(log[3]) for log in told),
        "applied + duplicate + rejected = read",
    )
    for outcome in ("applied", "duplicate", "rejected"):
        assert worker.metric(f'impressions_events_total{{layer="speed",outcome="{outcome}"') > 0
    assert worker.stop() == 0
    assert "Traceback" not in worker.log
    assert "older-block" not in worker.log, "its own records are nobody else's"


def test_kill_9_at_any_moment_loses_nothing_and_counts_nothing_twice(settings, start, tmp_path):
    """Four kills while records flow; at least one victim leaves records that it had not applied."""
    pick, traffic = random.Random(SEED), Traffic(settings, SEED + 1)
    in_mid_work = 0
    for _ in range(4):
        worker = start()
        worker.ready()
        traffic.send(400)
        traffic.flush()
        time.sleep(pick.uniform(0.0, 0.1))  # the moment of the kill is what is random here
        worker.kill()
        in_mid_work += unapplied(settings) > 0
    assert in_mid_work > 0, f"seed {SEED}"
    start().ready()
    assert_exact(settings, tmp_path, at_least=500)


def test_a_second_worker_joins_and_leaves_and_a_killed_one_is_replaced(settings, start, tmp_path):
    """Partitions move, each time from restored state, while traffic goes on."""
    traffic = Traffic(settings, SEED + 2)
    first = start().ready()
    traffic.send(100)
    second = start().ready()
    until(lambda: first.log.count("INFO assigned") >= 2, "the first gave partitions away")
    traffic.send(100)
    assert second.stop() == 0
    until(lambda: 'partitions="[0, 1, 2, 3]"' in first.log.split("assigned")[-1], "all are back")
    traffic.send(100)
    third = start().ready()
    first.kill()
    traffic.send(100)
    traffic.flush()
    until(lambda: 'partitions="[0, 1, 2, 3]"' in third.log.split("assigned")[-1], "third has all")
    assert_exact(settings, tmp_path, at_least=300)


@pytest.mark.parametrize("loss", ["deleted", "stale"])
def test_local_state_that_is_gone_or_old_is_restored_from_the_topic(
    settings, start, tmp_path, loss
):
    """And a log that was seen before the loss is still known: its resend counts nothing."""
    traffic = Traffic(settings, SEED + 3)
    first = start().ready()
    traffic.send(100)
    traffic.flush()
    caught_up(settings, tmp_path).close()
    assert first.stop() == 0
    old = tmp_path / "old"
    shutil.copytree(settings.speed_dir, old)
    second = start().ready()
    traffic.send(100)
    traffic.flush()
    caught_up(settings, tmp_path).close()
    assert second.stop() == 0
    shutil.rmtree(settings.speed_dir)
    if loss == "stale":
        shutil.copytree(old, settings.speed_dir)
    start().ready()
    traffic.send(100)
    traffic.flush()
    assert_exact(settings, tmp_path, at_least=300)


def test_a_worker_that_was_paused_past_its_session_changes_nothing(settings, start, tmp_path):
    """It wakes with blocks of the past; the delta topic does not go back."""
    traffic = Traffic(settings, SEED + 4)
    zombie = start().ready()
    traffic.send(200)
    zombie.popen.send_signal(signal.SIGSTOP)
    traffic.send(200)
    traffic.flush()
    heir = start().ready()
    until(lambda: 'partitions="[0, 1, 2, 3]"' in heir.log, "another took over", 40)
    zombie.popen.send_signal(signal.SIGCONT)
    traffic.send(100)
    traffic.flush()
    assert_exact(settings, tmp_path, at_least=300)


def test_an_older_block_of_a_former_owner_is_published_anew(settings, start, tmp_path):
    """What a zombie had under way lands behind the owner's block; the owner's comes back last."""
    traffic = Traffic(settings, SEED + 5, profiles=1)
    worker = start().ready()
    traffic.send(3)
    traffic.flush()
    store = caught_up(settings, tmp_path)
    block = store.blocks(1)[-1]
    store.close()
    newest = delta_block.decode(block, settings.spec)
    older = delta_block.encode(dataclasses.replace(newest, offset=0), settings.spec)
    key = delta_block.key(1, newest.slot_start_ms)
    producer = Producer(client.librdkafka(settings))
    producer.produce(settings.kafka.deltas_topic, older, key, shard_of(1, settings.partitions))
    assert producer.flush(10) == 0
    until(lambda: worker.metric("impressions_older_blocks_total") == 1, "the owner noticed")
    assert last_values(settings)[key] == block
