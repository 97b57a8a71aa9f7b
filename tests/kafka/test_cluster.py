"""The topics on three real brokers: what was acknowledged outlives any one of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from impressions.core.errors import Refused
from impressions.kafka import client, offsets, topics
from impressions.kafka.admin import connect, silent_logger
from impressions.kafka.unreplicated import with_unreplicated
from impressions.settings.model import Settings
from tests.broker import read_topic
from tests.cluster import NODES, Cluster
from tests.live import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that these tests may kill; they leave them running."""
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        yield running
    finally:
        running.close()


def settings_of(cluster: Cluster, home: Path, name: str) -> Settings:
    """Three copies of topics with names that no other test has."""
    kafka = {
        "bootstrap": cluster.bootstrap,
        "replication_factor": len(NODES),
        "topic": f"{name}-source",
        "deltas_topic": f"{name}-deltas",
        "rejected_topic": f"{name}-rejected",
        "clock_topic": f"{name}-clock",
    }
    return Settings(home=home, partitions=3, kafka=kafka)


def sent(settings: Settings, value: bytes, **options: object) -> KafkaError | None:
    """One record of partition 0, acknowledged by all that are in sync; how it ended."""
    ends: list[KafkaError | None] = []
    config = client.librdkafka(settings, **{"acks": "all", **options}) | {"logger": silent_logger()}
    producer = Producer(config)
    producer.produce(
        settings.kafka.topic, value, partition=0, on_delivery=lambda error, _: ends.append(error)
    )
    producer.flush(30)
    assert ends, "neither failed nor acknowledged"
    return ends[0]


def test_topics_of_three_copies_are_kept_by_two(cluster: Cluster, tmp_path: Path) -> None:
    """Created so on the brokers, and right when they are checked."""
    settings = settings_of(cluster, tmp_path, "kept")
    assert set(created(cluster, settings).values()) == {"created"}
    found = topics.check(settings)
    assert len(found) == 4
    for topic in found.values():
        assert topic.replicas == 3
        assert topic.configs["min.insync.replicas"] == "2"
        assert topic.configs["unclean.leader.election.enable"] == "false"


def created(cluster: Cluster, settings: Settings) -> dict[str, str]:
    """Makes the topics, and waits until every node knows them."""
    outcomes = topics.create(settings)
    kafka = settings.kafka
    cluster.until_known((kafka.topic, kafka.deltas_topic, kafka.rejected_topic, kafka.clock_topic))
    return outcomes


@pytest.mark.parametrize(
    ("config", "wrong", "said"),
    [
        ("min.insync.replicas", "1", r"min\.insync\.replicas is 1, expected at least 2"),
        (
            "unclean.leader.election.enable",
            "true",
            r"unclean\.leader\.election\.enable is true, expected false",
        ),
    ],
)
def test_a_topic_that_may_lose_what_it_acknowledged_is_refused_and_fixed(
    cluster: Cluster, tmp_path: Path, config: str, wrong: str, said: str
) -> None:
    """One copy that is enough, or a leader that lacks records: named, and set right by --fix. Any
    node may be asked, and each learns of a change a moment after the controller."""
    settings = settings_of(cluster, tmp_path, f"loose-{config}")
    created(cluster, settings)
    for name in topics.check(settings):
        with connect(settings) as admin:
            admin.alter(name, {config: wrong})
        for verb in (topics.check, topics.create):
            until(lambda: re.search(said, refusal_of(verb, settings)), f"{verb} to refuse")  # noqa: B023
        until(lambda: topics.create(settings, fix=True)[name] == "fixed", "it to be fixed")  # noqa: B023
        until(lambda: not refusal_of(topics.check, settings), "it to be seen as fixed")


def refusal_of(verb: Callable[[Settings], object], settings: Settings) -> str:
    """What it is refused with, or nothing."""
    try:
        verb(settings)
    except Refused as error:
        return error.message
    return ""


def test_what_was_acknowledged_outlives_its_leader(cluster: Cluster, tmp_path: Path) -> None:
    """kill -9 of the leader: another one has the record, and takes the next one."""
    settings = settings_of(cluster, tmp_path, "leader")
    created(cluster, settings)
    cluster.until_in_sync()
    assert sent(settings, b"before") is None
    leader = cluster.leader(settings.kafka.topic, 0)
    cluster.kill(leader)
    try:
        assert cluster.new_leader(settings.kafka.topic, 0, leader) != leader
        assert sent(settings, b"without it") is None
        values = [message.value() for message in read_topic(settings, settings.kafka.topic)[0]]
        assert values == [b"before", b"without it"]
    finally:
        cluster.start(leader)


def test_one_of_three_acknowledges_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """kill -9 of the other two: its own copy is not enough; once they are back, it goes on."""
    settings = settings_of(cluster, tmp_path, "one")
    created(cluster, settings)
    cluster.until_in_sync()
    assert sent(settings, b"before") is None
    others = [node for node in NODES if node != cluster.leader(settings.kafka.topic, 0)]
    cluster.kill(*others)
    try:
        once = {"retries": 0, "request_timeout_ms": 1_000, "message_timeout_ms": 3_000}
        error = sent(settings, b"by one", **once)
        assert error is not None
        assert error.code() in (KafkaError.REQUEST_TIMED_OUT, KafkaError._MSG_TIMED_OUT)
    finally:
        cluster.start(*others)
    cluster.until_in_sync()
    assert sent(settings, b"after") is None
    values = [message.value() for message in read_topic(settings, settings.kafka.topic)[0]]
    assert (values[0], values[-1]) == (b"before", b"after")


def test_a_record_that_a_copy_lacks_is_known_before_it_is_shown(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Both other nodes stand still: the leader has stamped the record, and the log seems to end
    before it. Who would say "all up to now" learns that something is unseen, until it is shown."""
    settings = settings_of(cluster, tmp_path, "unseen")
    created(cluster, settings)
    cluster.until_in_sync()
    topic = settings.kafka.topic
    assert sent(settings, b"shown") is None
    leader = cluster.leader(topic, 0)
    only = settings.model_copy(update={"kafka": settings.kafka.model_copy(
        update={"bootstrap": cluster.address(leader)}
    )})  # fmt: skip
    with connect(only) as admin, contextlib.ExitStack() as others:
        assert with_unreplicated(admin.client, topic, [0], 10) == frozenset()
        for node in NODES:
            if node != leader:
                others.enter_context(cluster.paused(node))
        assert sent(only, b"appended", acks=1) is None
        assert with_unreplicated(admin.client, topic, [0], 10) == {0}
        assert offsets.range_of(only, topic, 0) == (0, 1)
    cluster.until_in_sync()
    with connect(settings) as admin:
        until(lambda: not with_unreplicated(admin.client, topic, [0], 10), "the record to be shown")
    assert offsets.range_of(settings, topic, 0) == (0, 2)


def test_an_empty_partition_has_no_unreplicated_record(cluster: Cluster, tmp_path: Path) -> None:
    """Nobody ever wrote to it, so it has no newest stamp; that holds nobody up."""
    settings = settings_of(cluster, tmp_path, "empty")
    created(cluster, settings)
    cluster.until_in_sync()
    with connect(settings) as admin:
        assert with_unreplicated(admin.client, settings.kafka.topic, range(3), 10) == frozenset()


def test_another_controller_is_elected(cluster: Cluster) -> None:
    """kill -9 of the active one: the epoch of the election rises, and it comes back as a voter."""
    cluster.until_in_sync()
    old, old_epoch = cluster.controller()
    cluster.kill(old)
    try:
        until(lambda: cluster.controller()[0] not in (-1, old), "another controller")
        assert cluster.controller()[1] > old_epoch
    finally:
        cluster.start(old)
    cluster.until_in_sync()
