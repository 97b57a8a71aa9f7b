"""Kafka's admin client with deadlines: what a topic is, creating one, changing its settings.

A plain shell over confluent-kafka: no knowledge of what topics should be. What Kafka refuses, or
does not answer in time, comes out as one ServiceError.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError
from impressions.kafka.client import bootstrap, librdkafka
from impressions.process.extras import require
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TIMEOUT_S = 8.0
_POLL_S = 0.02


@dataclass(frozen=True)
class TopicDescription:
    """What one topic is; `topic_id` is 16 bytes, `replicas` of the partition that has fewest."""

    name: str
    topic_id: bytes
    partitions: int
    configs: Mapping[str, str]
    replicas: int = 1


@dataclass(frozen=True)
class Admin:
    """One connected client; every call ends within about `timeout_s`."""

    client: AdminClient
    timeout_s: float

    def names(self) -> dict[str, int]:
        """Topic -> partitions, internal topics left out."""
        topics = self.client.list_topics(timeout=self.timeout_s).topics.values()
        return {t.topic: len(t.partitions) for t in topics if not t.topic.startswith("__")}

    def identities(self, names: Sequence[str]) -> dict[str, tuple[bytes, int]]:
        """Topic -> (id, partitions), of those that exist."""
        found = self._described(names)
        return {name: (_id_of(topic), len(topic.partitions)) for name, topic in found.items()}

    def _described(self, names: Sequence[str]) -> dict[str, Any]:
        """Topic -> confluent-kafka's description, of those that exist."""
        from confluent_kafka import KafkaError, TopicCollection

        asked = self.client.describe_topics(
            TopicCollection(list(names)), request_timeout=self.timeout_s
        )
        found = {
            name: _unless(future, KafkaError.UNKNOWN_TOPIC_OR_PART)
            for name, future in asked.items()
        }
        return {name: topic for name, topic in found.items() if topic is not None}

    def describe(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """Topic -> what it is, of those that exist."""
        from confluent_kafka.admin import ConfigResource, ResourceType

        found = self._described(names)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
        if not resources:
            return {}
        asked = self.client.describe_configs(resources, request_timeout=self.timeout_s)
        configs = {
            resource.name: {name: str(entry.value) for name, entry in future.result().items()}
            for resource, future in asked.items()
        }
        return {
            name: TopicDescription(
                name, _id_of(topic), len(topic.partitions), configs[name],
                min((len(p.replicas) for p in topic.partitions), default=1),
            )
            for name, topic in found.items()
        }  # fmt: skip

    def create(
        self, name: str, partitions: int, replication_factor: int, configs: Mapping[str, str]
    ) -> None:
        """Makes a topic and waits until the broker knows it; one that exists is left as it is."""
        from confluent_kafka import KafkaError
        from confluent_kafka.admin import NewTopic

        new = NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=replication_factor,
            config=dict(configs),
        )
        (future,) = self.client.create_topics([new], request_timeout=self.timeout_s).values()
        _unless(future, KafkaError.TOPIC_ALREADY_EXISTS)
        deadline_s = monotonic_s() + self.timeout_s
        while name not in self.names():
            if monotonic_s() > deadline_s:
                raise ServiceError(f"topic {name} was created but does not appear", reason="kafka")
            time.sleep(_POLL_S)

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Sets some of a topic's settings."""
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            ResourceType,
        )

        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        asked = self.client.incremental_alter_configs([resource], request_timeout=self.timeout_s)
        for future in asked.values():
            future.result()


@contextlib.contextmanager
def connect(settings: Settings, timeout_s: float = TIMEOUT_S) -> Iterator[Admin]:
    """An admin client of a broker that answers.

    Raises:
        NotReady: no broker is configured.
        ServiceError: it does not answer within `timeout_s`, or refuses what is asked.
    """
    require("confluent_kafka", "kafka")
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    at = bootstrap(settings)
    try:
        client = AdminClient({**librdkafka(settings), "logger": silent_logger()})
        client.list_topics(timeout=timeout_s)
        yield Admin(client, timeout_s)
    except KafkaException as error:
        raise ServiceError(
            f"Kafka at {at}: {error.args[0].str()}",
            hint="does it run (impressions kafka status), and are kafka.bootstrap and "
            "kafka.properties right (impressions config)?",
            reason="kafka",
        ) from None


def _id_of(topic: Any) -> bytes:
    bits = topic.topic_id
    return struct.pack(">qq", bits.get_most_significant_bits(), bits.get_least_significant_bits())


def _unless(future: Future[Any], code: int) -> Any:
    """The result; None where Kafka answered `code`."""
    from confluent_kafka import KafkaException

    try:
        return future.result()
    except KafkaException as error:
        if error.args[0].code() != code:
            raise
        return None


def silent_logger() -> logging.Logger:
    """librdkafka reports each refused connection; the error raised in the end says it once."""
    logger = logging.getLogger("impressions.kafka.silent")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
