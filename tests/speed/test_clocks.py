"""One partition under wrong clocks: nothing is deleted, moved or rejected by one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from impressions.core.merge import merge
from impressions.core.spec import DAY_MS
from impressions.deltas.expired_slots import floor_of
from impressions.deltas.store import NOTHING_DROPPED_MS, DeltaStore, PartitionState, open_primary
from impressions.formats import delta_block
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.settings.model import Settings
from oracle import naive
from speed.applying.source_record import SourceRecord
from speed.partitions.partition import Partition
from tests.compare import as_dict, differences
from tests.fixed_clock import FixedClock
from tests.speed.records import record_bytes
from tests.tolerance import FLOAT64

NOW_MS = 20_000 * DAY_MS
AHEAD_DAYS = [1 / 24, 1, 30, 60, 338, 3 * 365]


def seen(at_ms: int, title: int = 1) -> dict:
    return {"title": title, "location": 0, "event_ms": at_ms, "played": 1, "dwell_s": 2.0}


def opened(path: Path, clock: FixedClock) -> tuple[Partition, DeltaStore]:
    settings = Settings(home=path, partitions=1)
    store = open_primary(path / "store")
    store.write((), {0: PartitionState(bytes(16), 0, restoring=False)})
    start = Heartbeat(0, 1, 1, bytes(16), bytes(16), -1, 0, FROM_THE_FIRST_MS, FROM_THE_FIRST_MS)
    return Partition(settings, store, start, clock=clock), store


def feed(partition: Partition, *stamped: tuple[int, int]) -> dict[str, int]:
    """Records with (stamp, event time), a device flush of profile 1 each; the counts."""
    first = partition.next_offset
    records = [
        SourceRecord(first + i, stamp_ms, record_bytes((1, first + i + 1, [seen(event_ms)])))
        for i, (stamp_ms, event_ms) in enumerate(stamped)
    ]
    flush = partition.prepare(records)
    at = partition.next_delta_offset
    partition.commit(flush, [(at, at + 1)])
    return flush.counts


def impressions_of(store: DeltaStore, query_ms: int) -> int:
    spec = Settings().spec
    blocks = [delta_block.decode(data, spec) for data in store.blocks(1)]
    return int(merge(query_ms, None, None, blocks, spec).totals[0].sum())


@pytest.mark.parametrize("days", AHEAD_DAYS)
def test_a_worker_whose_clock_is_ahead_deletes_nothing(tmp_path, days):
    """Neither after records nor after a heartbeat that some other clock has let run ahead."""
    clock = FixedClock(NOW_MS + round(days * DAY_MS))
    partition, store = opened(tmp_path, clock)
    feed(partition, (NOW_MS, NOW_MS), (NOW_MS + 1, NOW_MS))
    assert partition.heartbeat.through_ms == NOW_MS + 1
    assert store.state(0).floor_ms == floor_of(NOW_MS + 1, Settings())
    clock.at_ms = NOW_MS + 2
    ahead_ms = NOW_MS + round(days * DAY_MS)
    partition.keep_heartbeat(replace(partition.heartbeat, through_ms=ahead_ms), [])
    assert store.state(0).floor_ms == floor_of(NOW_MS + 1, Settings())
    feed(partition, (NOW_MS + 3, NOW_MS))
    assert partition.heartbeat.through_ms == NOW_MS + 2
    assert impressions_of(store, NOW_MS + 3) == 3
    store.close()


@pytest.mark.parametrize("days", AHEAD_DAYS)
@pytest.mark.parametrize("device", ["now", "as far ahead"])
def test_one_stamp_that_is_ahead_rejects_and_moves_nothing_after_it(tmp_path, days, device):
    """Late events of 336 days count after it as before; the partition is complete through now."""
    clock = FixedClock(NOW_MS + 100)
    partition, store = opened(tmp_path, clock)
    stamp_ms = NOW_MS + round(days * DAY_MS)
    event_ms = NOW_MS if device == "now" else stamp_ms
    late_ms = NOW_MS - 300 * DAY_MS
    stamped = [(NOW_MS, late_ms), (NOW_MS + 1, NOW_MS), (stamp_ms, event_ms), (NOW_MS + 2, late_ms)]
    counts = feed(partition, *stamped)
    counts_after = feed(partition, (NOW_MS + 50, late_ms))
    assert (counts["applied"], counts["rejected"], counts_after["applied"]) == (4, 0, 1)
    assert partition.heartbeat.through_ms <= clock()
    assert store.state(0).floor_ms <= floor_of(NOW_MS + 100, Settings())
    assert impressions_of(store, stamp_ms + DAY_MS) >= 2
    if days > 7:
        assert partition.heartbeat.newest_ms == NOW_MS + 50
    store.close()


@pytest.mark.parametrize("days", [8, 60, 338])
def test_what_counts_is_what_the_oracle_counts_with_the_stamps_of_a_right_broker(tmp_path, days):
    """An hour of a clock that is far ahead, in the middle of a day."""
    clock = FixedClock(NOW_MS + 4 * 3_600_000)
    partition, store = opened(tmp_path, clock)
    sent = []
    for i in range(120):
        right_ms = NOW_MS + i * 60_000
        event_ms = right_ms - [0, 40, 3_000][i % 3]
        wrong_ms = days * DAY_MS if 40 <= i < 100 else 0
        feed(partition, (right_ms + wrong_ms, event_ms))
        sent.append((1, i + 1, right_ms, [seen(event_ms)]))
    spec, query_ms = Settings().spec, NOW_MS + 5 * 3_600_000
    blocks = [delta_block.decode(data, spec) for data in store.blocks(1)]
    assert {block.slot_start_ms for block in blocks} == {NOW_MS}
    found = as_dict(1, merge(query_ms, None, None, blocks, spec), spec)
    expected = naive.answers(naive.accept(sent, spec.slot_ms)[0], query_ms)
    assert differences(found, expected, FLOAT64) == []
    assert partition.heartbeat.since_ms == FROM_THE_FIRST_MS
    store.close()


def test_a_record_that_counts_in_a_slot_which_was_over_says_that_something_may_be_missing(tmp_path):
    """After 30 silent days a backfill whose devices say last month: a generation may lack it."""
    clock = FixedClock(NOW_MS)
    partition, store = opened(tmp_path, clock)
    feed(partition, (NOW_MS, NOW_MS), (NOW_MS + 1, NOW_MS))
    clock.at_ms = NOW_MS + 30 * DAY_MS
    partition.keep_heartbeat(replace(partition.heartbeat, through_ms=clock()), [])
    feed(partition, (clock(), NOW_MS + 5))
    assert partition.heartbeat.since_ms == NOW_MS + 30 * DAY_MS + 1
    assert store.state(0).floor_ms > NOTHING_DROPPED_MS
    store.close()
