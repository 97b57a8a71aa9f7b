"""The four topics: what each must be, creating them, and refusing one that is wrong.

    source     device flushes. Stamped by the broker: the time of the append decides which layer
               counts an impression, so a producer's own clock must not.
    deltas     the stream's aggregates, the last of each key. Old slots are dropped by time as well,
               but not before the stream could no longer catch up with them.
    rejected   dead letters.
    clock      empty records that the broker stamps, to know its time (broker_clock.py).

All have P partitions, but the clock, which has one. Only what would make answers wrong is refused:
larger limits and longer retention than these are an operator's choice. Of several replicas of a
partition all but one must have a record before it is acknowledged, and one that lacks
acknowledged records never becomes the leader: else the end of a broker loses what was promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impressions.core.errors import NotReady, Refused
from impressions.kafka.admin import TIMEOUT_S, TopicDescription, connect
from impressions.kafka.client import bootstrap
from impressions.settings.model import Settings

MAX_MESSAGE_BYTES = 16 << 20
"""The largest message of any topic: a dead letter, or a full delta block
(speed/applying/slot_parts.py)."""

MAX_RECORD_BYTES = MAX_MESSAGE_BYTES // 2
"""The largest record of the source: its dead letter holds all of it and more."""

_MIN_INSYNC = "min.insync.replicas"
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True)
class Config:
    """One setting of a topic: the value it is created with, and which others are accepted."""

    name: str
    value: str
    rule: Literal["is", "at least", "at most"] = "is"

    def allows(self, found: str) -> bool:
        """Whether a topic may have `found` instead; -1 means without limit."""
        if not found or self.rule == "is":
            return set(found.split(",")) == set(self.value.split(","))
        if found == "-1":
            return self.rule == "at least"
        more = float(found) - float(self.value)
        return more >= 0 if self.rule == "at least" else more <= 0

    @property
    def expected(self) -> str:
        return self.value if self.rule == "is" else f"{self.rule} {self.value}"


@dataclass(frozen=True)
class Topic:
    """What one topic must be."""

    name: str
    partitions: int
    replication_factor: int
    configs: tuple[Config, ...]

    @property
    def properties(self) -> dict[str, str]:
        """The settings it is created with."""
        return {config.name: config.value for config in self.configs}


def wanted(settings: Settings) -> tuple[Topic, ...]:
    """Source, deltas, rejected and clock, as the settings have them."""
    kafka, replicas = settings.kafka, settings.kafka.replication_factor
    topics = (
        (kafka.topic, settings.partitions, _source(settings)),
        (kafka.deltas_topic, settings.partitions, _deltas(settings)),
        (kafka.rejected_topic, settings.partitions, _rejected(settings)),
        (kafka.clock_topic, 1, _clock()),
    )
    return tuple(
        Topic(name, partitions, replicas, (*configs, *_kept(replicas)))
        for name, partitions, configs in topics
    )


_BROKER_STAMPS = Config("message.timestamp.type", "LogAppendTime")
_LARGEST = Config("max.message.bytes", str(MAX_MESSAGE_BYTES), "at least")
_HOURLY_SEGMENTS = Config("segment.ms", str(_HOUR_MS), "at most")


def _source(settings: Settings) -> tuple[Config, ...]:
    return (
        _BROKER_STAMPS,
        Config("cleanup.policy", "delete"),
        _retention(settings.kafka.retention_days),
        Config("max.message.bytes", str(MAX_RECORD_BYTES), "at most"),
    )


def _deltas(settings: Settings) -> tuple[Config, ...]:
    """Its acknowledgements give the broker's time, and no worker's clock decides how long the
    broker keeps a block.

    What the cleaner has not looked at yet is read in vain by every restore. It passes over the
    newest segment, so segments are short and small, and it begins when a tenth is new, or after a
    day. Blocks stay compressed as the worker sent them.
    """
    return (
        _BROKER_STAMPS,
        Config("cleanup.policy", "compact,delete"),
        # A stream that lags by more than the source is kept has lost records anyway.
        _retention(settings.stream.keep_days + settings.kafka.retention_days + 1),
        _HOURLY_SEGMENTS,
        Config("segment.bytes", str(256 << 20), "at most"),
        Config("min.cleanable.dirty.ratio", "0.1", "at most"),
        Config("min.compaction.lag.ms", "0", "at most"),
        Config("max.compaction.lag.ms", str(_DAY_MS), "at most"),
        Config("compression.type", "producer"),
        _LARGEST,
    )


def _rejected(settings: Settings) -> tuple[Config, ...]:
    return Config("cleanup.policy", "delete"), _retention(settings.stream.keep_days), _LARGEST


def _clock() -> tuple[Config, ...]:
    return (
        _BROKER_STAMPS,
        Config("cleanup.policy", "delete"),
        Config("retention.ms", str(_HOUR_MS), "at most"),
        _HOURLY_SEGMENTS,
    )


def _retention(days: int) -> Config:
    return Config("retention.ms", str(days * _DAY_MS), "at least")


def _kept(replicas: int) -> tuple[Config, Config]:
    """What keeps an acknowledged record, with that many replicas."""
    return (
        Config(_MIN_INSYNC, str(max(1, replicas - 1)), "at least"),
        Config("unclean.leader.election.enable", "false"),
    )


def create(
    settings: Settings,
    *,
    timeout_s: float = TIMEOUT_S,
    fix: bool = False,
    dry_run: bool = False,
) -> dict[str, str]:
    """Creates the topics that are absent and checks the others; a second time changes nothing.

    Args:
        fix: sets wrong settings right. A wrong number of partitions it cannot.
        dry_run: says what would be done, and does nothing.

    Returns:
        Topic -> "exists", "created" or "fixed" ("absent" or "wrong" in a dry run).

    Raises:
        Refused: a topic that exists is wrong; nothing was created.
        ServiceError: no broker answers, or it does not allow this.
    """
    topics = wanted(settings)
    with connect(settings, timeout_s) as admin:
        found = admin.describe([topic.name for topic in topics])
        for topic in topics:
            if topic.name in found:
                _check_topic(topic, found[topic.name], settings, partitions_only=fix)
        report = {}
        for topic in topics:
            if topic.name not in found:
                report[topic.name] = "absent" if dry_run else "created"
                if not dry_run:
                    admin.create(
                        topic.name, topic.partitions, topic.replication_factor, topic.properties
                    )
            elif wrong := _wrong(topic, found[topic.name]):
                report[topic.name] = "wrong" if dry_run else "fixed"
                if not dry_run:
                    admin.alter(topic.name, {config.name: config.value for config in wrong})
            else:
                report[topic.name] = "exists"
    return report


def check(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> dict[str, TopicDescription]:
    """All four topics, by name; they are right.

    Raises:
        NotReady: a topic is absent.
        Refused: a topic is wrong; with what was found, what was expected, and what fixes it.
        ServiceError: no broker answers.
    """
    topics = wanted(settings)
    with connect(settings, timeout_s) as admin:
        found = admin.describe([topic.name for topic in topics])
    for topic in topics:
        if topic.name not in found:
            raise _absent(topic.name)
        _check_topic(topic, found[topic.name], settings)
    return found


def source_id(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Kafka's 16-byte id of the source topic: with another one, it was made again.

    Raises:
        NotReady: it is absent.
        Refused: it has not P partitions.
        ServiceError: no broker answers.
    """
    source = wanted(settings)[0]
    with connect(settings, timeout_s) as admin:
        ids = admin.identities([source.name])
    if source.name not in ids:
        raise _absent(source.name)
    topic_id, partitions = ids[source.name]
    _check_partitions(source, partitions)
    return topic_id


def _check_topic(
    topic: Topic, found: TopicDescription, settings: Settings, partitions_only: bool = False
) -> None:
    _check_partitions(topic, found.partitions)
    wrong = _wrong(topic, found)
    if wrong and not partitions_only:
        differences = "; ".join(
            f"{c.name} is {found.configs.get(c.name, 'not set')}, expected {c.expected}"
            for c in wrong
        )
        values = ",".join(f"{c.name}={_quoted(c.value)}" for c in wrong)
        raise Refused(
            f"topic {topic.name}: {differences}",
            hint="impressions topics create --fix; or with Kafka's own tool: "
            f"kafka-configs.sh --bootstrap-server {bootstrap(settings)} --alter "
            f"--entity-type topics --entity-name {topic.name} --add-config '{values}'",
            reason="topic_config",
        )


def _check_partitions(topic: Topic, found: int) -> None:
    if found != topic.partitions:
        raise Refused(
            f"topic {topic.name}: it has {found} partitions, expected {topic.partitions}",
            hint=f"a topic keeps its P for life: if {found} is right everywhere, --set "
            f"partitions={found}; else use another topic (kafka.topic, kafka.deltas_topic, "
            "kafka.rejected_topic) and impressions topics create",
            reason="topic_partitions",
        )


def _wrong(topic: Topic, found: TopicDescription) -> list[Config]:
    """What must be set otherwise. A topic with fewer replicas than the settings say is checked by
    those it has: if more had to be in sync than there are, nothing could be written to it."""
    fewer = min(topic.replication_factor, found.replicas)
    configs = [c if c.name != _MIN_INSYNC else _kept(fewer)[0] for c in topic.configs]
    return [c for c in configs if not c.allows(found.configs.get(c.name, ""))]


def _quoted(value: str) -> str:
    """Kafka's tool wants a list in brackets."""
    return f"[{value}]" if "," in value else value


def _absent(name: str) -> NotReady:
    return NotReady(
        f"topic {name} does not exist", hint="impressions topics create", reason="no_topic"
    )
