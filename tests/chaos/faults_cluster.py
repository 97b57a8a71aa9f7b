"""Three brokers: leaders and the controller end, stand still and come back; two of three do.

Each begins when all copies are in sync, so that it is one fault and not two. None of them is over
before it has shown what it did: another node leads, an election has raised the epoch, a write was
not acknowledged.
"""

from __future__ import annotations

import random
import time

from confluent_kafka import KafkaError, Message, Producer

from impressions.kafka import client as kafka
from impressions.kafka.admin import connect, silent_logger
from tests.chaos.skip import Skip
from tests.chaos.system import System
from tests.cluster import NODES, Cluster
from tests.live import until

PROBE = "chaos-probe"
_ANSWER_MS = 2_000


def kill_leader(system: System, pick: random.Random) -> str:
    """kill -9 of the node that leads a partition; another one leads it before it comes back."""
    cluster = _in_sync(system)
    topic, partition, leader = _led(system, cluster, pick)
    cluster.kill(leader)
    heir = cluster.new_leader(topic, partition, leader)
    time.sleep(pick.uniform(0, 3))
    cluster.start(leader)
    return f"{topic}/{partition}: {leader} -> {heir}"


def kill_controller(system: System, pick: random.Random) -> str:
    """kill -9 of the active controller; another one is elected before it comes back."""
    cluster = _in_sync(system)
    old, old_epoch = cluster.controller()
    cluster.kill(old)
    new, epoch = _new_controller(cluster, old, old_epoch)
    time.sleep(pick.uniform(0, 3))
    cluster.start(old)
    return f"{old} -> {new}, epoch {old_epoch} -> {epoch}"


def kill_two_of_three(system: System, pick: random.Random) -> str:
    """kill -9 of two, at once or the second once the first one's partitions have another leader.
    The third acknowledges nothing; then both come back."""
    cluster = _in_sync(system)
    first, partition = pick.choice(NODES), pick.randrange(len(NODES))
    if in_turn := pick.random() < 0.5:
        cluster.kill(first)
        survivor = cluster.new_leader(PROBE, partition, first)
    else:
        survivor = cluster.leader(PROBE, partition)
        first = pick.choice([node for node in NODES if node != survivor])
    (second,) = set(NODES) - {first, survivor}
    cluster.kill(first, second)
    said = _not_acknowledged(system, partition)
    time.sleep(pick.uniform(0, 3))
    cluster.start(first, second)
    return f"{first}, {second}{' in turn' if in_turn else ''}: {said}"


def pause_leader(system: System, pick: random.Random) -> str:
    """SIGSTOP past its session, until others lead; resumed, it has to learn that it does not."""
    cluster = _in_sync(system)
    topic, partition, leader = _led(system, cluster, pick)
    began_s = time.monotonic()
    with cluster.paused(leader):
        heir = cluster.new_leader(topic, partition, leader)
        time.sleep(pick.uniform(0, 6))
        paused_s = time.monotonic() - began_s
        assert cluster.leader(topic, partition, away=(leader,)) == heir
    until(lambda: cluster.leads(leader, by=leader) == 0, f"node {leader} to know that others lead")
    return f"{topic}/{partition}: {leader} -> {heir}, {paused_s:.1f} s"


def pause_controller(system: System, pick: random.Random) -> str:
    """SIGSTOP of the active controller until another one is elected; resumed, it follows."""
    cluster = _in_sync(system)
    old, old_epoch = cluster.controller()
    with cluster.paused(old):
        new, epoch = _new_controller(cluster, old, old_epoch)
        time.sleep(pick.uniform(0, 6))
    return f"{old} -> {new}, epoch {old_epoch} -> {epoch}"


def rolling_restart(system: System, pick: random.Random) -> str:
    """Each in turn in order, the next once all copies are in sync again, as an upgrade does."""
    cluster = _in_sync(system)
    moved = 0
    for node in pick.sample(NODES, len(NODES)):
        pid, other = cluster.pid(node), next(n for n in NODES if n != node)
        moved += cluster.leads(node, by=other)
        assert cluster.nodes[node].stop()
        until(lambda: cluster.leads(node, by=other) == 0, f"node {node} to lead nothing")  # noqa: B023
        cluster.start(node)
        assert cluster.pid(node) != pid
        cluster.until_in_sync()
    assert moved, "nobody led anything"
    return f"all three, {moved} partitions led by another"


def _in_sync(system: System) -> Cluster:
    if system.cluster is None:
        raise Skip("one broker runs")
    with connect(system.settings) as admin:
        admin.create(PROBE, len(NODES), len(NODES), {"min.insync.replicas": "2"})
    system.cluster.until_in_sync()
    return system.cluster


def _led(system: System, cluster: Cluster, pick: random.Random) -> tuple[str, int, int]:
    """A partition of the source or of the deltas, and who leads it."""
    names = system.settings.kafka
    topic = pick.choice((names.topic, names.deltas_topic))
    partition = pick.randrange(system.settings.partitions)
    return topic, partition, cluster.leader(topic, partition)


def _new_controller(cluster: Cluster, old: int, old_epoch: int) -> tuple[int, int]:
    def found() -> tuple[int, int] | None:
        new, epoch = cluster.controller()
        return (new, epoch) if new not in (-1, old) and epoch > old_epoch else None

    elected = until(found, f"another controller than node {old}")
    assert isinstance(elected, tuple)
    return elected


def _not_acknowledged(system: System, partition: int) -> str:
    """How a write ends that the leader's only copy would have to keep."""
    ends: list[KafkaError | None] = []

    def ended(error: KafkaError | None, _: Message) -> None:
        ends.append(error)

    once = {"acks": "all", "retries": 0, "request_timeout_ms": _ANSWER_MS}
    producer = Producer(
        kafka.librdkafka(system.settings, message_timeout_ms=3 * _ANSWER_MS, **once)
        | {"logger": silent_logger()}
    )
    producer.produce(PROBE, b"", partition=partition, on_delivery=ended)
    producer.flush(6 * _ANSWER_MS / 1000)
    assert ends, "the write neither failed nor was acknowledged"
    assert ends[0] is not None, "a write was acknowledged by one node of three"
    return str(ends[0].name())


ALL = (
    kill_leader, kill_controller, kill_two_of_three, pause_leader, pause_controller,
    rolling_restart,
)  # fmt: skip
