"""What a heartbeat claims of a partition in which nothing is left to apply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from impressions.formats.heartbeat import Heartbeat
from impressions.settings.model import Settings
from speed import idle_heartbeats
from speed.partitions.silence import Silence

NOW_MS, NEWEST_MS, END = 1_000_000, 900_000, 8
MARGIN_MS = 500


class Worker:
    """Two partitions, all of which the engine shows is applied; what is claimed of each."""

    def __init__(self, home: Path, before: Heartbeat):
        self.open = {
            n: SimpleNamespace(
                number=n,
                next_offset=END,
                heartbeat=replace(before, partition=n),
                movement=SimpleNamespace(moved=lambda: None),
                leader_clock=SimpleNamespace(now_ms=lambda: NOW_MS),
                silence=Silence(),
            )
            for n in (0, 1)
        }
        self.settings = Settings(
            home=home, partitions=2, kafka={"bootstrap": "127.0.0.1:1"},
            speed={"heartbeat_s": 0.05, "clock_margin_s": MARGIN_MS / 1000},
        )  # fmt: skip
        self.busy = asyncio.Lock()
        self.metrics = SimpleNamespace(seen=lambda *of: None)
        self.looks = 0

    def clock(self) -> int:
        return NOW_MS

    async def publish_heartbeat(self, partition: Any, heartbeat: Heartbeat) -> None:
        partition.heartbeat = heartbeat

    async def end_offsets(self, partitions: Sequence[int]) -> dict[int, int]:
        self.looks += 1
        return dict.fromkeys(partitions, END)


async def claimed(worker: Worker) -> list[int]:
    """Through when each partition is said to be complete, after two looks."""
    running = asyncio.create_task(
        idle_heartbeats.IdleHeartbeats(worker, worker).run()  # type: ignore[arg-type]
    )
    while worker.looks < 2:
        assert not running.done(), running.exception()
        await asyncio.sleep(0.01)
    running.cancel()
    return [partition.heartbeat.through_ms for partition in worker.open.values()]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    before = Heartbeat(
        partition=0, partitions=2, epoch=1, topic_id=bytes(16), deltas_id=bytes(16),
        offset=END - 1, newest_ms=NEWEST_MS, since_ms=0, through_ms=NEWEST_MS,
    )  # fmt: skip
    return Worker(tmp_path, before)


@pytest.mark.parametrize(
    ("unreplicated", "expected"),
    [
        ((), [NOW_MS - MARGIN_MS, NOW_MS - MARGIN_MS]),
        ((1,), [NOW_MS - MARGIN_MS, NEWEST_MS]),
        (None, [NEWEST_MS, NEWEST_MS]),
    ],
    ids=["all is shown", "a record of one is not shown yet", "the broker does not say"],
)
def test_only_a_partition_of_which_all_is_shown_is_complete_up_to_now(
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    unreplicated: Sequence[int] | None,
    expected: list[int],
) -> None:
    """A leader stamps a record when it appends it, and shows it once its copies have it."""

    def asked(client: Any, topic: str, numbers: Sequence[int], timeout_s: float) -> frozenset[int]:
        if unreplicated is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return frozenset(unreplicated)

    monkeypatch.setattr(idle_heartbeats, "with_unreplicated", asked)
    assert asyncio.run(claimed(worker)) == expected


def test_the_end_is_asked_for_while_a_flush_goes_on(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a flush that ends meanwhile applies more than the end that was found: nothing was cut."""
    monkeypatch.setattr(idle_heartbeats, "with_unreplicated", lambda *of: frozenset())

    async def flushed_meanwhile() -> None:
        async with worker.busy:
            looking = asyncio.create_task(
                idle_heartbeats.IdleHeartbeats(worker, worker).run()  # type: ignore[arg-type]
            )
            while not worker.looks:
                assert not looking.done(), looking.exception()
                await asyncio.sleep(0.01)
            for partition in worker.open.values():
                partition.next_offset = END + 5
                partition.heartbeat = replace(partition.heartbeat, offset=END + 4)
        while worker.looks < 3:
            assert not looking.done(), looking.exception()
            await asyncio.sleep(0.01)
        looking.cancel()

    async def grown(partitions: Sequence[int]) -> dict[int, int]:
        worker.looks += 1
        return dict.fromkeys(partitions, END if worker.looks == 1 else END + 5)

    monkeypatch.setattr(worker, "end_offsets", grown)
    asyncio.run(asyncio.wait_for(flushed_meanwhile(), 60))
    assert [p.heartbeat.offset for p in worker.open.values()] == [END + 4, END + 4]
    assert [p.heartbeat.through_ms for p in worker.open.values()] == [NOW_MS - MARGIN_MS] * 2
