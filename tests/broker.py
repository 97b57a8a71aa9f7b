"""A real Kafka broker for tests: one for the whole session, topics of their own for each test.

    @pytest.mark.kafka
    def test_x(tmp_path, broker):
        settings = stream_settings(tmp_path, broker, partitions=4)

Loaded as a plugin by tests/conftest.py, so that every directory of tests has `broker`. Needs Java
and the pinned jars, as Spark's tests do. A test that kills or restarts a broker makes its own. None
outlives the tests, however these end: a guard kills the broker when its pipe from here breaks.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from impressions.kafka import client, topics
from impressions.kafka.admin import connect
from impressions.local.broker import Broker
from impressions.settings.model import Settings
from tests import patience

_numbers = itertools.count()
_GUARD = """
import os, signal, sys
from pathlib import Path
from impressions.local.pid_file import PidFile
sys.stdin.read()
if pid := PidFile(Path(sys.argv[1])).holder():
    os.kill(pid, signal.SIGKILL)
"""


def guard_of(broker: Broker) -> subprocess.Popen[bytes]:
    """A process that kills the broker, if it still runs, when its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(broker.process.pid_file.path)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


class TestBroker:
    """A running broker and its address."""

    __test__ = False

    def __init__(self, home: Path) -> None:
        self._home, self._broker = home, Broker(Settings(home=home))
        self._guard = guard_of(self._broker)
        self.start()

    def start(self) -> None:
        """Also after `stop` and `kill`: same port, same data."""
        running, _ = self._broker.start(timeout_s=60 * patience.FACTOR)
        self.bootstrap, self.pid = running.bootstrap, running.pid

    def stop(self) -> None:
        self._broker.stop()

    def close(self) -> None:
        """The end: broker and guard."""
        self.stop()
        self._guard.communicate()

    def kill(self) -> None:
        """kill -9."""
        self._broker.kill()

    def cut(self, topic: str, partition: int = 0) -> None:
        """It comes up again without anything that it had acknowledged of a partition."""
        self.stop()
        (log,) = self._home.rglob(f"{topic}-{partition}")
        for file in log.iterdir():
            if file.name != "partition.metadata":
                file.unlink()
        for checkpoint in log.parent.glob("*-checkpoint"):
            checkpoint.unlink()
        self.start()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """The broker all tests share. Do not stop it."""
    running = TestBroker(tmp_path_factory.mktemp("broker"))
    yield running
    running.close()


def stream_settings(
    home: Path,
    broker: TestBroker,
    partitions: int = 4,
    *,
    create: bool = True,
    kafka: dict[str, Any] | None = None,
    **sections: Any,
) -> Settings:
    """Settings with topic names no other test has, and those topics made.

    Args:
        kafka, sections: further settings, as `slot_seconds=20`, `speed={"within_s": 0.05}`.
        create: False leaves the topics to the test.
    """
    n = f"{os.getpid()}-{next(_numbers)}"
    names = {
        "bootstrap": broker.bootstrap,
        "topic": f"impressions-{n}",
        "deltas_topic": f"impression-deltas-{n}",
        "rejected_topic": f"impressions-rejected-{n}",
        "clock_topic": f"impressions-clock-{n}",
    }
    sections = {"speed": {"group": f"speed-{n}"}} | sections
    settings = Settings(
        home=home, partitions=partitions, kafka={**names, **(kafka or {})}, **sections
    )
    if create:
        topics.create(settings)
    return settings


def compact_soon(settings: Settings) -> None:
    """Lets the cleaner compact the delta topic within seconds of its next records."""
    soon = {
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.001",
        "min.compaction.lag.ms": "0",
        "delete.retention.ms": "100",
    }
    with connect(settings) as admin:
        admin.alter(settings.kafka.deltas_topic, soon)


def read_topic(settings: Settings, topic: str) -> dict[int, list[Message]]:
    """Every record of a topic, by partition, in order of offset."""
    quick = {"fetch_wait_max_ms": 10, "enable_partition_eof": True, "enable_auto_commit": False}
    consumer = Consumer(client.librdkafka(settings, group_id="reader", **quick))
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    found: dict[int, list[Message]] = {partition: [] for partition in partitions}
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in found])
    ends = 0
    while ends < len(found):
        message = consumer.poll(10)
        assert message is not None, f"{topic}: the broker sends nothing more"
        if message.error() is None:
            found[message.partition()].append(message)
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ends += 1
    consumer.close()
    return found
