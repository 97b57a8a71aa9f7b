"""The local broker's configuration: one node that is broker and controller, on 127.0.0.1.

Everything that would make a test or a demo wait is short: groups form at once, the cleaner and the
retention look every second, internal topics are small. Topics are never made by accident. What
topics must be is said where they are created (impressions/kafka/topics.py), not here.
"""

from __future__ import annotations

from pathlib import Path

from impressions.kafka.topics import MAX_MESSAGE_BYTES
from local.ports import HOST


def server_properties(data_dir: Path, port: int, controller_port: int) -> str:
    """Kafka's server.properties.

    The quorum is named here and not in the data, so that either port may change from start to
    start.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": data_dir,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        # One node: internal topics have one copy, and few partitions start faster.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,
        # After a kill the node must first be taken for dead, or it may not register again.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3_000,
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
