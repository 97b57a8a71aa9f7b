"""Ranges of partitions that share a task, and its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.lake import tables
from batch.lake.data_file_writer import target_of
from batch.lake.locations import local_path
from batch.landing import part
from batch.landing.fetch import Records
from batch.landing.part import TASK_RECORDS, Task, land, shared
from batch.landing.plan import Range
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from tests.speed.records import record_bytes

GOOD = {"location": 0, "played": 0, "dwell_s": 1.0}
P, SLOT_MS = 8, 20_000 * DAY_MS


def task_of(partition: int, end: int, **more: Any) -> Task:
    nothing: Any = None
    given = {"raw": nothing, "rejected": nothing} | more
    return Task(
        range=Range(partition, 0, end, 0), rejected_from=0, client={}, topic="impressions",
        topic_id="ab" * 16, partitions=P, slot_ms=DAY_MS, memory_bytes=1 << 26, **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("records", "width", "tasks"),
    [
        ([100] * 64, 2, 2),  # a small pass: as many tasks as run at a time
        ([100] * 3, 8, 3),  # never more than there are partitions
        ([TASK_RECORDS] * 8, 2, 8),  # large ranges have tasks of their own
        ([TASK_RECORDS // 4] * 16, 2, 4),
        ([0], 2, 1),
    ],
)
def test_ranges_share_tasks_by_their_records(records: list[int], width: int, tasks: int) -> None:
    every = [task_of(partition, end) for partition, end in enumerate(records)]
    found = shared(every, width)
    assert len(found) == tasks
    assert [task for group in found for task in group] == every


def test_a_pass_over_all_partitions_is_one_file_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight partitions with ten records each, over two slots; what is said of each range is its
    own, the files are with the first."""
    settings = Settings(home=tmp_path, partitions=P)
    raw, rejected = tables.create_if_missing(settings, tables.RAW, tables.REJECTED)
    profiles = {shard: next(n for n in range(999) if shard_of(n, P) == shard) for shard in range(P)}

    def batches(client: Any, topic: str, of: Range, accept_loss: bool) -> Iterator[Records]:
        stamps = [SLOT_MS + n % 2 * DAY_MS + n for n in range(of.end)]
        stamps.sort()
        values = [
            record_bytes(
                (profiles[of.partition], 100 + n, [GOOD | {"title": n + 1, "event_ms": ms}])
            )
            for n, ms in enumerate(stamps)
        ]
        yield Records(values=values, offsets=list(range(of.end)), stamps=stamps)

    monkeypatch.setattr(part, "batches", batches)
    tasks = [
        replace(task_of(n, 10 + n), raw=target_of(raw), rejected=target_of(rejected))
        for n in range(P)
    ]
    parts = land(tasks)
    assert [p.valid for p in parts] == [10 + n for n in range(P)]
    assert [p.last.offset for p in parts] == [9 + n for n in range(P)]
    assert [len(p.raw) for p in parts] == [2] + [0] * (P - 1)
    for file in parts[0].raw:
        read = pq.read_table(local_path(file.file_path), partitioning=None)
        keys = list(zip(*(read[name].to_pylist() for name in ("shard", "title_id")), strict=True))
        assert keys == sorted(keys)
        assert {shard for shard, _ in keys} == set(range(P))
