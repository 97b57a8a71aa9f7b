"""Partitions move from worker to worker, in order or not: no block ever goes back."""

from __future__ import annotations

import dataclasses
import random
import signal
from itertools import pairwise

import pytest
from confluent_kafka import Producer

from impressions.core.shard import shard_of
from impressions.formats import delta_block, heartbeat
from impressions.kafka import client
from tests.broker import stream_settings
from tests.faults.size import scaled
from tests.faults.stream import QUICK, SEED, Flow, assert_exact, wait_applied, workers
from tests.live import caught_up, last_values, messages_of, source_ends, until
from tests.speed.traffic import Traffic

pytestmark = pytest.mark.kafka
ALL = 'partitions="[0, 1, 2, 3]"'
_DEADLINE_S = 60
_LOAD_S = 20
"""Beside other work a start of Python alone takes seconds."""


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, slot_seconds=20, speed=QUICK)


@pytest.mark.slow
@pytest.mark.alone
def test_workers_come_and_go_under_load(settings, tmp_path):
    """One joins and leaves, then one is killed and another takes its place; each time partitions
    move from restored state, and none waits longer than a session and ten seconds for progress."""
    pick = random.Random(SEED)
    with workers(settings, tmp_path) as start, Flow(settings, SEED + 2, records_per_s=100) as flow:
        stays = start().ready()
        for _ in range(scaled(1, 6)):
            goes = start().ready()
            until(lambda w=stays: not has_all(w), "it gave partitions away", _DEADLINE_S)
            if pick.random() < 0.5 and stays.log.count("INFO assigned") > 3:
                stays, goes = goes, stays
            assert goes.stop() == 0
            until(lambda w=stays: has_all(w), "all are back", _DEADLINE_S)
        heir = start().ready()
        stays.kill()
        until(lambda: has_all(heir), "the heir has all", _DEADLINE_S)
        flow.end()
        assert_exact(settings, tmp_path, at_least=300)
    longest_s = longest_wait_s(settings)
    print(f"the longest that a partition stood still: {longest_s:.1f} s")
    assert longest_s < settings.speed.session_timeout_s + 10 + _LOAD_S


@pytest.mark.slow
def test_a_worker_that_was_paused_past_its_session_changes_nothing(settings, tmp_path):
    """It wakes with blocks of the past, finds that its partitions are another's, and the delta
    topic does not go back: no key's last value is older than one before it."""
    traffic = Traffic(settings, SEED + 4)
    with workers(settings, tmp_path) as start:
        zombie = start().ready()
        traffic.send(2_000)
        traffic.flush()
        zombie.popen.send_signal(signal.SIGSTOP)
        traffic.send(200)
        traffic.flush()
        heir = start().ready()
        until(lambda: has_all(heir), "another took over", _DEADLINE_S)
        slept_at = zombie.log.count("INFO assigned")
        zombie.popen.send_signal(signal.SIGCONT)
        until(
            lambda: zombie.popen.poll() is not None or zombie.log.count("INFO assigned") > slept_at,
            "it woke and noticed",
            _DEADLINE_S,
        )
        traffic.send(100)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=300)
        until(lambda: not went_back(settings), "the last of each key is the newest of it")


@pytest.mark.slow
def test_a_worker_that_was_paused_goes_on_with_what_its_heir_wrote(tmp_path, broker):
    """Started again in its own directory, all within one slot: its blocks hold the heir's part."""
    settings = stream_settings(tmp_path, broker, slot_seconds=86_400, speed=QUICK)
    traffic = Traffic(settings, SEED + 6, profiles=20)
    with workers(settings, tmp_path) as start:
        with Flow(settings, SEED + 7, records_per_s=100):
            zombie = start().ready()
            more_records(settings, 100)
            zombie.popen.send_signal(signal.SIGSTOP)
            heir = start().ready()
            until(lambda: has_all(heir), "another took over", _DEADLINE_S)
            more_records(settings, 100)
            zombie.popen.send_signal(signal.SIGCONT)
            more_records(settings, 100)
        zombie.kill()
        assert heir.stop() == 0
        again = start().ready()
        traffic.send(100)
        traffic.flush()
        wait_applied(again, settings)
        assert_exact(settings, tmp_path, at_least=50)


@pytest.mark.slow
@pytest.mark.representative
def test_an_older_block_of_a_former_owner_is_published_again(settings, tmp_path):
    """What a zombie had under way lands behind the owner's block; the owner's comes back last."""
    traffic = Traffic(settings, SEED + 5, profiles=1)
    with workers(settings, tmp_path) as start:
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


def more_records(settings, count: int) -> None:
    """Wait until so many more were sent."""
    end = sum(source_ends(settings).values()) + count
    until(lambda: sum(source_ends(settings).values()) >= end, f"{count} more records", _DEADLINE_S)


def has_all(worker) -> bool:
    return ALL in worker.log.split("INFO assigned")[-1]


def longest_wait_s(settings) -> float:
    """Of all partitions, the longest time between two of its heartbeats."""
    at: dict[int, list[int]] = {}
    for message in messages_of(settings, settings.kafka.deltas_topic):
        if message.key() == heartbeat.KEY:
            at.setdefault(message.partition(), []).append(message.timestamp()[1])
    gaps = [b - a for times in at.values() for a, b in pairwise(times)]
    return max(gaps) / 1000


def went_back(settings) -> list[bytes]:
    """Keys whose last value is older than one before it."""
    newest: dict[bytes, tuple[int, int]] = {}
    last: dict[bytes, tuple[int, int]] = {}
    for message in messages_of(settings, settings.kafka.deltas_topic):
        if message.key() != heartbeat.KEY:
            head = delta_block.header(message.value(), settings.spec)
            last[message.key()] = version = head.epoch, head.offset
            newest[message.key()] = max(version, newest.get(message.key(), version))
    return [key for key, version in last.items() if version < newest[key]]
