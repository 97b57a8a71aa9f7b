"""The topics on a real broker: made once, and a wrong one refused with what fixes it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Producer

from impressions.cli.topics import check, create
from impressions.core.errors import NotReady, Refused, ServiceError
from impressions.kafka import client, topics
from impressions.kafka.admin import connect
from impressions.kafka.topics import Config
from impressions.settings.model import Settings
from impressions.settings.sections.live import Kafka
from tests import patience
from tests.broker import TestBroker, compact_soon, read_topic, stream_settings

pytestmark = pytest.mark.kafka


def altered(settings: Settings, topic: str, **configs: str) -> None:
    with connect(settings) as admin:
        admin.alter(topic, {name.replace("_", "."): value for name, value in configs.items()})


def test_creating_twice_makes_them_once(tmp_path: Path, broker: TestBroker) -> None:
    """All three, right at once, with the same ids afterwards; a dry run makes none."""
    settings = stream_settings(tmp_path, broker, create=False)
    assert set(topics.create(settings, dry_run=True).values()) == {"absent"}
    with pytest.raises(NotReady, match="does not exist"):
        topics.check(settings)
    assert set(topics.create(settings).values()) == {"created"}
    first = topics.check(settings)
    assert set(topics.create(settings).values()) == {"exists"}
    assert topics.check(settings) == first
    assert [found.partitions for found in first.values()] == [4, 4, 4, 1]


def test_the_broker_stamps_records_of_the_source(tmp_path: Path, broker: TestBroker) -> None:
    """A producer's own time is not what is read."""
    settings = stream_settings(tmp_path, broker)
    producer = Producer(client.librdkafka(settings))
    producer.produce(settings.kafka.topic, b"x", partition=2, timestamp=1)
    assert producer.flush(10) == 0
    (message,) = read_topic(settings, settings.kafka.topic)[2]
    kind, at_ms = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert abs(at_ms / 1000 - time.time()) < 60


def test_producers_clock_on_the_source_is_refused_with_the_fix(
    tmp_path: Path, broker: TestBroker
) -> None:
    """Topic, found, expected and both commands; --fix makes it right."""
    settings = stream_settings(tmp_path, broker)
    name = settings.kafka.topic
    altered(settings, name, message_timestamp_type="CreateTime")
    for verb in (topics.check, topics.create):
        with pytest.raises(Refused) as caught:
            verb(settings)
        assert caught.value.message == (
            f"topic {name}: message.timestamp.type is CreateTime, expected LogAppendTime"
        )
        assert (caught.value.hint or "").endswith(
            f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter --entity-type topics "
            f"--entity-name {name} --add-config 'message.timestamp.type=LogAppendTime'"
        )
    assert topics.create(settings, fix=True)[name] == "fixed"
    assert topics.check(settings)


def test_uncompacted_deltas_are_refused(tmp_path: Path, broker: TestBroker) -> None:
    """Every setting that is wrong is named, and a list stands in the brackets that Kafka wants."""
    settings = stream_settings(tmp_path, broker)
    altered(settings, settings.kafka.deltas_topic, cleanup_policy="delete", segment_ms="7200000")
    with pytest.raises(Refused, match=r"segment.ms is 7200000, expected at most 3600000") as caught:
        topics.check(settings)
    assert "cleanup.policy is delete, expected compact,delete" in caught.value.message
    assert "cleanup.policy=[compact,delete],segment.ms=3600000" in (caught.value.hint or "")


def test_a_cleaner_that_waits_is_refused(tmp_path: Path, broker: TestBroker) -> None:
    """Every restore would read what it left: large segments, a lag, no day by which it comes."""
    settings = stream_settings(tmp_path, broker)
    name = settings.kafka.deltas_topic
    altered(settings, name, segment_bytes="1073741824", min_compaction_lag_ms="60000",
            max_compaction_lag_ms="9223372036854775807")  # fmt: skip
    with pytest.raises(Refused, match=r"segment\.bytes is 1073741824, expected at most") as e:
        topics.check(settings)
    assert "min.compaction.lag.ms is 60000, expected at most 0" in e.value.message
    assert "max.compaction.lag.ms is 9223372036854775807" in e.value.message
    assert topics.create(settings, fix=True)[name] == "fixed"


def test_another_number_of_partitions_is_refused_with_both(
    tmp_path: Path, broker: TestBroker
) -> None:
    """P cannot be repaired in place, so --fix refuses it too."""
    settings = stream_settings(tmp_path, broker)
    other = Settings(home=tmp_path, partitions=8, kafka=settings.kafka.model_dump())
    for verb in (topics.check, topics.source_id, lambda s: topics.create(s, fix=True)):
        with pytest.raises(Refused, match="it has 4 partitions, expected 8") as caught:
            verb(other)
        assert caught.value.reason == "topic_partitions"


def test_more_room_than_ours_is_an_operators_choice() -> None:
    """Longer retention and larger limits pass, -1 is without limit, order in a list is nothing."""
    week = Config("retention.ms", "604800000", "at least")
    assert [week.allows(v) for v in ("604800000", "-1", "604799999")] == [True, True, False]
    ratio = Config("min.cleanable.dirty.ratio", "0.1", "at most")
    assert [ratio.allows(v) for v in ("0.05", "0.5", "")] == [True, False, False]
    assert Config("cleanup.policy", "compact,delete").allows("delete,compact")


def test_three_copies_are_kept_by_two() -> None:
    """Every topic: all copies but one acknowledge; one that lacks records never leads."""
    for copies, in_sync in ((1, "1"), (2, "1"), (3, "2"), (5, "4")):
        for topic in topics.wanted(Settings(kafka=Kafka(replication_factor=copies))):
            assert topic.properties["min.insync.replicas"] == in_sync
            assert topic.properties["unclean.leader.election.enable"] == "false"
    rule = Config("min.insync.replicas", "2", "at least")
    assert [rule.allows(found) for found in ("1", "2", "3")] == [False, True, True]


def test_topics_that_may_lose_records_are_refused(tmp_path: Path, broker: TestBroker) -> None:
    """An unclean election is named with its fix. A topic with one copy, where the settings say
    three, is not asked to have two in sync: nothing could be written to it."""
    settings = stream_settings(tmp_path, broker)
    name = settings.kafka.deltas_topic
    altered(settings, name, unclean_leader_election_enable="true")
    with pytest.raises(Refused, match=r"unclean\.leader\.election\.enable is true"):
        topics.check(settings)
    assert topics.create(settings, fix=True)[name] == "fixed"
    kafka = settings.kafka.model_copy(update={"replication_factor": 3})
    found = topics.check(settings.model_copy(update={"kafka": kafka}))
    assert {topic.replicas for topic in found.values()} == {1}


def test_a_recreated_source_has_another_id(tmp_path: Path, broker: TestBroker) -> None:
    """Same name, same P: only Kafka's id tells."""
    settings = stream_settings(tmp_path, broker)
    first = topics.source_id(settings)
    assert len(first) == 16
    assert topics.source_id(settings) == first
    with connect(settings) as admin:
        (deleted,) = admin.client.delete_topics([settings.kafka.topic]).values()
        deleted.result()
        deadline = time.monotonic() + 10 * patience.FACTOR
        while settings.kafka.topic in admin.names():
            assert time.monotonic() < deadline
    topics.create(settings)
    assert topics.source_id(settings) != first


def test_the_deltas_are_really_compacted(tmp_path: Path, broker: TestBroker) -> None:
    """Of a key written often, the log keeps few; the last one is among them."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    compact_soon(settings)
    name = settings.kafka.deltas_topic
    producer = Producer(client.librdkafka(settings))
    deadline = time.monotonic() + 30 * patience.FACTOR
    sent = 0
    while True:
        for _ in range(20):
            producer.produce(name, str(sent).encode(), key=b"k", partition=0)
            sent += 1
        assert producer.flush(10) == 0
        offsets = [message.offset() for message in read_topic(settings, name)[0]]
        assert offsets[-1] == sent - 1
        if offsets[0] > 0 or len(offsets) < sent:
            break
        assert time.monotonic() < deadline, f"{len(offsets)} of {sent} records remain"


@pytest.mark.alone
def test_no_broker_is_said_within_the_deadline(tmp_path: Path) -> None:
    """A port nobody listens on: a ServiceError with a hint, not a hang."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings = Settings(
            home=tmp_path, kafka={"bootstrap": f"127.0.0.1:{unused.getsockname()[1]}"}
        )
        began = time.monotonic()
        with pytest.raises(ServiceError) as caught:
            topics.check(settings, timeout_s=1)
    assert time.monotonic() - began < 5
    assert "impressions kafka status" in (caught.value.hint or "")


def test_verbs_print_what_they_did(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per topic, and the same as JSON."""
    settings = stream_settings(tmp_path, broker, create=False)
    create(settings=settings, fix=False, json=False, dry_run=False)
    assert capsys.readouterr().out.count("created") == 4
    check(settings=settings, json=True)
    assert settings.kafka.deltas_topic in capsys.readouterr().out
