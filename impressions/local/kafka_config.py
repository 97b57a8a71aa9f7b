"""The local broker's configuration: a node that is broker and controller, on 127.0.0.1.

A node is a cluster by itself. Where it is to be one of several, a `Member` says which, and who the
others are; what a record needs to outlive any one of them follows from their number.

Everything that would make a test or a demo wait is short: groups form at once, the cleaner and the
retention look every second, internal topics are small. Topics are never made by accident. What
topics must be is said where they are created (impressions/kafka/topics.py), not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from impressions.kafka.topics import MAX_MESSAGE_BYTES
from impressions.local.ports import HOST

SESSION_MS = 3_000
"""Without a sign of life until a node is taken for dead, and others lead its partitions."""


@dataclass(frozen=True)
class Member:
    """One of the nodes that together are a cluster; the same `voters` and id for each of them.

    Attributes:
        node_id: which of them.
        voters: node -> the port of its controller.
        cluster_id: 22 characters, as Kafka wants them; kept in each node's data.
    """

    node_id: int
    voters: Mapping[int, int]
    cluster_id: str

    @property
    def controller_port(self) -> int:
        return self.voters[self.node_id]


def server_properties(
    data_dir: Path, port: int, controller_port: int, member: Member | None = None
) -> str:
    """Kafka's server.properties.

    The quorum is named here and not in the data, so that the ports of a node by itself may change
    from start to start.
    """
    node_id, voters = (member.node_id, member.voters) if member else (1, {1: controller_port})
    copies = min(len(voters), 3)
    properties = {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": ",".join(f"{n}@{HOST}:{at}" for n, at in voters.items()),
        "log.dirs": data_dir,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        # Internal topics, and topics that say nothing else: of several copies all but one
        # acknowledge, and one that lacks records never leads. Few partitions start faster.
        "min.insync.replicas": max(1, copies - 1),
        "unclean.leader.election.enable": "false",
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "transaction.state.log.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,
        "leader.imbalance.check.interval.seconds": 15,
        # After a kill the node must first be taken for dead, or it may not register again.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": SESSION_MS,
        # Compaction and retention act within seconds of what a topic asks for.
        "log.cleaner.backoff.ms": 500,
        "log.cleaner.dedupe.buffer.size": 32 << 20,
        "log.retention.check.interval.ms": 1_000,
        "log.initial.task.delay.ms": 1_000,
        "log.segment.delete.delay.ms": 1_000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


LOGGING = """\
status = warn
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
"""log4j2.properties: warnings, and that it started and stopped."""
