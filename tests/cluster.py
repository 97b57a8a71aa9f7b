"""Three brokers of one cluster on one machine, killed, paused and restarted by their number.

Each node is a local broker with a home of its own (`node-1`, ...), broker and controller at once,
and none outlives the tests (`guard_of`).
Any one of them may be away: topics of three copies and the controllers' quorum both ask for two.

Who leads a partition is asked of a node, so that a test can choose one that lives; a node that was
paused says for a moment what was true before. Who is the active controller stands in what the
voters wrote down: a client that asks is given any node that lives (`describe_cluster`), because
nodes pass on what is the controller's to do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from impressions.kafka.admin import silent_logger
from impressions.local.broker import Broker, new_cluster_id
from impressions.local.kafka_config import Member
from impressions.local.ports import HOST, free_ports
from impressions.settings.model import Settings
from tests import patience
from tests.broker import guard_of
from tests.live import until

NODES = (1, 2, 3)
_ANSWER_S = 3
_START_S = 60 * patience.FACTOR
_IN_SYNC_S = 90


class Cluster:
    """The three.

    Attributes:
        nodes: the broker of each number.
        bootstrap: the addresses of all; they stay the same for as long as this object lives.
    """

    def __init__(self, directory: Path) -> None:
        ports = list(itertools.islice(free_ports(), 2 * len(NODES)))
        voters = dict(zip(NODES, ports[: len(NODES)], strict=True))
        self._ports = dict(zip(NODES, ports[len(NODES) :], strict=True))
        cluster_id = new_cluster_id()
        self.nodes = {
            node: Broker(
                Settings(home=directory / f"node-{node}"), Member(node, voters, cluster_id)
            )
            for node in NODES
        }
        self.bootstrap = ",".join(self.address(node) for node in NODES)
        self._guards = [guard_of(broker) for broker in self.nodes.values()]

    def start(self, *nodes: int) -> None:
        """These, or all, at once: one by itself does not answer."""
        with ThreadPoolExecutor() as pool:
            for started in [
                pool.submit(self.nodes[node].start, self._ports[node], _START_S)
                for node in nodes or NODES
            ]:
                started.result()

    def stop(self) -> None:
        """All at once, in order; one that finds no controller any more is killed."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda broker: broker.stop(timeout_s=5), self.nodes.values()))

    def close(self) -> None:
        """The end: nodes and guards."""
        self.kill()
        for guard in self._guards:
            guard.communicate()

    def kill(self, *nodes: int) -> None:
        """kill -9 of these, or all."""
        for node in nodes or NODES:
            self.nodes[node].kill()

    @contextlib.contextmanager
    def paused(self, node: int) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end: it takes requests, and answers them only then."""
        os.kill(self.pid(node), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(node), signal.SIGCONT)

    def pid(self, node: int) -> int:
        found = self.nodes[node].running()
        assert found is not None, f"node {node} does not run"
        return found.pid

    # -- what it says of itself ------------------------------------------------------------------

    def leader(self, topic: str, partition: int, away: Collection[int] = ()) -> int:
        """The node that leads it, or -1, as a node says that is not `away`."""
        for node in NODES:
            if node not in away and (topics := self._topics(node)):
                return int(topics[topic].partitions[partition].leader)
        return -1

    def new_leader(self, topic: str, partition: int, old: int) -> int:
        """Wait until the others have another leader than `old`."""

        def found() -> int | None:
            leader = self.leader(topic, partition, away=(old,))
            return leader if leader not in (-1, old) else None

        leader = until(found, f"another leader of {topic}/{partition} than node {old}")
        assert isinstance(leader, int)
        return leader

    def leads(self, node: int, by: int) -> int:
        """How many partitions the node leads, as the node `by` says once it answers."""
        topics = until(lambda: self._topics(by), f"node {by} to answer")
        assert isinstance(topics, dict)
        return sum(
            partition.leader == node
            for topic in topics.values()
            for partition in topic.partitions.values()
        )

    def until_in_sync(self) -> None:
        """Wait until every node says of every partition that all copies are in sync."""

        def complete(node: int) -> bool:
            topics = self._topics(node).values()
            return bool(topics) and all(
                set(partition.isrs) == set(partition.replicas) and partition.leader > 0
                for topic in topics
                for partition in topic.partitions.values()
            )

        until(lambda: all(map(complete, NODES)), "all copies to be in sync", _IN_SYNC_S)

    def until_known(self, names: Collection[str]) -> None:
        """Wait until every node knows these topics: each learns of them by itself."""

        def known() -> bool:
            return all(set(names) <= self._topics(node).keys() for node in NODES)

        until(known, f"every node to know {', '.join(names)}")

    def controller(self) -> tuple[int, int]:
        """The active controller, or -1 while there is none, and the epoch of its election."""
        states = []
        for broker in self.nodes.values():
            file = broker.data_dir / "__cluster_metadata-0" / "quorum-state"
            states.append(json.loads(file.read_text("utf-8")))
        newest = max(states, key=lambda state: (state["leaderEpoch"], state["leaderId"]))
        return newest["leaderId"], newest["leaderEpoch"]

    def _topics(self, node: int) -> dict[str, Any]:
        """Topic -> its metadata, as this node has it; none where it does not answer."""
        client = AdminClient({"bootstrap.servers": self.address(node), "logger": silent_logger()})
        with contextlib.suppress(KafkaException):
            return dict(client.list_topics(timeout=_ANSWER_S).topics)
        return {}

    def address(self, node: int) -> str:
        """host:port; asked alone, it answers of what it knows."""
        return f"{HOST}:{self._ports[node]}"
