"""A commit does not make the group rebalance: aiokafka's own coordinator, and a real group."""

import asyncio
import contextlib
import signal
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Partition

from impressions.kafka import client
from speed.joins import hold_commits_while_joining
from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, Flow, workers
from tests.live import source_ends, until

OFFSETS = {TopicPartition("impressions", 0): OffsetAndMetadata(7, "")}
REFUSALS = [RebalanceInProgressError, IllegalGenerationError]
MODULE = "tests.speed.rejoining_worker"


class Group:
    """aiokafka's coordinator of a member in generation 3, and a broker's answer to its commits."""

    def __init__(self, refusal=None):
        self.commits, self._code = 0, refusal.errno if refusal else 0
        self.meanwhile = lambda: None
        cluster = ClusterMetadata()
        self.coordinator = GroupCoordinator(
            SimpleNamespace(cluster=cluster, send=self._send), SubscriptionState()
        )
        self.coordinator.coordinator_id, self.coordinator.generation = 0, 3
        hold_commits_while_joining(self.coordinator)

    async def _send(self, *_, **__):
        self.commits += 1
        self.meanwhile()
        return SimpleNamespace(topics=[("impressions", [(0, self._code)])])

    def commit(self):
        return self.coordinator.commit_offsets(None, OFFSETS)

    @property
    def asked_for_a_join(self):
        return self.coordinator._rejoin_needed_fut.done()


@contextlib.asynccontextmanager
async def group(refusal=None):
    made = Group(refusal)
    try:
        yield made
    finally:
        made.coordinator._closing.set_result(None)
        await made.coordinator._coordination_task


def test_a_commit_is_sent_where_the_member_is_in_the_group():
    """Nothing is held back of a member that has joined."""

    async def check():
        async with group() as member:
            await member.commit()
            assert member.commits == 1

    asyncio.run(check())


def test_no_commit_is_sent_during_a_join():
    """It would wait behind the join, and be refused; Faust is told "not now"."""

    async def check():
        async with group() as member:
            member.coordinator._performed_join_prepare = True
            with pytest.raises(CommitFailedError, match="already rebalanced"):
                await member.commit()
            assert member.commits == 0
            assert not member.asked_for_a_join

    asyncio.run(check())


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    "change", [{"generation": 4}, {"_performed_join_prepare": True}], ids=["joined", "joins"]
)
def test_a_refusal_of_a_former_generation_asks_for_no_join(refusal, change):
    """The answer comes when the member is elsewhere: it keeps its name and its generation."""

    async def check():
        async with group(refusal) as member:
            member.coordinator.member_id = "me"
            member.meanwhile = lambda: vars(member.coordinator).update(change)
            with pytest.raises(CommitFailedError, match="already rebalanced"):
                await member.commit()
            assert not member.asked_for_a_join
            assert member.coordinator.member_id == "me"

    asyncio.run(check())


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_of_the_present_generation_asks_for_a_join(refusal):
    """The group has gone on without this member: it has to join."""

    async def check():
        async with group(refusal) as member:
            with pytest.raises(CommitFailedError, match="already rebalanced"):
                await member.commit()
            assert member.asked_for_a_join

    asyncio.run(check())


@pytest.mark.slow
@pytest.mark.kafka
def test_a_join_that_waits_for_another_member_is_not_followed_by_a_join(tmp_path, broker):
    """The other member learns of it at its heartbeat, up to 3 s later, and commits fall due
    meanwhile. Afterwards the group commits and is in the generation of that one join."""
    settings = stream_settings(tmp_path, broker, speed=QUICK)
    with workers(settings, tmp_path) as start, Flow(settings, SEED + 8, records_per_s=100):
        leads, follows = start(module=MODULE).ready(), start(module=MODULE).ready()
        until(lambda: assignments(leads) == 2, "both have partitions")
        until_committed(settings)
        for _ in range(3):
            before, of_other = assignments(leads), assignments(follows)
            leads.popen.send_signal(signal.SIGUSR1)
            until(lambda n=before: assignments(leads) > n, "it joined")
            until(lambda n=of_other: assignments(follows) > n, "the other one joined too")
            until_committed(settings)
            assert (assignments(leads), assignments(follows)) == (before + 1, of_other + 1)


def assignments(worker) -> int:
    return worker.log.count("INFO assigned")


def until_committed(settings) -> None:
    """Until the group has committed as much as is in the source now."""
    reader = Consumer(client.librdkafka(settings, group_id=settings.speed.group))
    partitions = [Partition(settings.kafka.topic, p) for p in range(settings.partitions)]
    ends = source_ends(settings)

    def committed() -> bool:
        found = reader.committed(partitions, timeout=10)
        return all(each.offset >= ends[each.partition] for each in found)

    until(committed, "the group committed", 15)
    reader.close()
