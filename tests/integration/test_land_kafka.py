"""Landing from a real topic: every record once, and how far raw is complete."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch import compact
from batch.closing.rewrite import Rewrite
from batch.compacting.job import Compacting
from batch.jobs.tasks import Runner
from batch.lake import tables
from batch.lake.conflict import Conflict
from batch.lake.slot_states import slot_states
from batch.spark.session import spark_session
from batch.status.lake import read_lake
from impressions.clock import now_ms
from impressions.core.errors import Refused
from impressions.core.shard import shard_of
from impressions.core.slot import slot_start_ms
from impressions.core.spec import DAY_MS
from impressions.terminal.report import start_run
from impressions.v1.impression_record_pb2 import ImpressionRecord
from oracle import naive
from tests.broker import TestBroker
from tests.compare import differences
from tests.fixed_clock import FixedClock
from tests.integration.conftest import Lake
from tests.integration.live import (
    arrived,
    close_all,
    counting,
    expected_counting,
    expected_raw,
    land,
    land_through,
    live_lake,
    logs,
    next_slot,
    raw_rows,
    rejected_places,
    send,
    send_bytes,
    state,
    wire,
)
from tests.integration.raw_events import ema_rows, event, write_closed
from tests.live import caught_up, stream_rows
from tests.speed.worker_process import WorkerProcess
from tests.tolerance import FLOAT64

pytestmark = [pytest.mark.spark, pytest.mark.kafka]

GOOD = {"title": 5, "location": 0, "played": 1, "dwell_s": 1.5}


def one_log(profile: int, log_id: int) -> tuple[int, int, list[dict]]:
    return profile, log_id, [GOOD | {"event_ms": now_ms()}]


@pytest.mark.slow
@pytest.mark.representative
def test_what_was_sent_is_in_raw_once_and_counts_as_the_oracle_says(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """Landings of resent, late and bad logs over slots that pass; closed, then a generation. The
    same records through the worker alone give the same numbers."""
    lake = live_lake(tmp_path, broker, land={"max_records": 20}, audits={"sample_profiles": 0})
    first = logs(1, 150)
    send(lake, first)
    for resent in (first[:60], first[30:90] + logs(2, 50)):
        next_slot(lake)
        send(lake, resent)
    report = land(lake)
    assert report.counts["commits"] > 1, "max_records bounds a commit"
    assert report.counts["read"] == report.counts["landed"] + report.counts["rejected"]
    cutover_ms = next_slot(lake)
    land_through(lake, cutover_ms)
    sent = arrived(lake.settings)
    assert raw_rows(lake) == expected_raw(sent)
    assert naive.accept(sent)[1]["rejected"] == sum(rejected_places(lake).values()) > 0
    close_all(lake)
    assert counting(lake) == expected_counting(sent, lake.settings.spec.slot_ms)
    assert counting(lake) != raw_rows(lake), "some logs were resent in time to be duplicates"
    job = Compacting(lake.settings, cutover_ms, start_run("compact"))
    compact.compact(job)
    applied = naive.accept(sent, lake.settings.spec.slot_ms)[0]
    assert differences(ema_rows(lake), naive.answers(applied, cutover_ms), FLOAT64) == []
    profiles = {profile for profile, _, _ in applied}
    with contextlib.closing(WorkerProcess(lake.settings, tmp_path)) as worker:
        worker.ready()
        store = caught_up(lake.settings, tmp_path)
    stream = stream_rows(lake.settings, store, profiles, cutover_ms)
    store.close()
    assert differences(stream, ema_rows(lake), FLOAT64) == []


def test_rejected_rows_say_where_they_were(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """(reason, partition, offset, log, impression); a record that is no record counts one."""
    lake = live_lake(tmp_path, broker)
    owner = {shard_of(profile, 4): profile for profile in range(40)}
    bad_title = one_log(owner[1], 7)[2] + [GOOD | {"title": -1, "event_ms": now_ms()}]
    send(lake, [(owner[1], 7, bad_title)])
    lost = wire(one_log(owner[2], 8))
    value = ImpressionRecord(logs=[lost]).SerializeToString()
    send_bytes(lake.settings, [(0, b"\xffnoise"), (0, None), (3, value)])
    report = land(lake)
    assert rejected_places(lake) == Counter(
        {
            ("bad_title", 1, 0, 0, 1): 1,
            ("undecodable", 0, 0, None, None): 1,
            ("undecodable", 0, 1, None, None): 1,
            ("wrong_partition", 3, 0, 0, 0): 1,
        }
    )
    assert report.extra["rejected_by_reason"]["undecodable"] == 2
    assert (report.counts["read"], report.counts["landed"]) == (5, 1)


class TestValidThrough:
    def test_silent_partitions_stall_nothing_and_it_never_goes_back(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """Three of four partitions never had a record; the lander's clock is hours behind the
        broker's. An idle round within a slot commits none."""
        lake = live_lake(tmp_path, broker, slot_seconds=86_400, land={"clock_margin_s": 60})
        send(lake, [one_log(1, 1)])
        early_ms = slot_start_ms(now_ms() - DAY_MS, lake.settings.spec) + DAY_MS // 2
        land(lake, clock=FixedClock(early_ms))
        assert state(lake).valid_through_ms == early_ms - 60_000
        for later_ms, commits in ((0, 0), (60_000, 0), (600_000, 1)):
            assert land(lake, clock=FixedClock(early_ms + later_ms)).counts["commits"] == commits
        assert state(lake).valid_through_ms == early_ms + 540_000

    def test_a_clock_that_is_ahead_claims_nothing_and_what_it_claimed_is_taken_back(
        self,
        spark: SparkSession,
        tmp_path: Path,
        broker: TestBroker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The lander's alone, by a month: the broker's time counts. Once both were ahead; then the
        next landing says what both show, and says that it took something back."""
        lake = live_lake(tmp_path, broker, slot_seconds=86_400)
        send(lake, [one_log(1, 1)])
        ahead_ms = now_ms() + 30 * DAY_MS
        land(lake, clock=FixedClock(ahead_ms))
        assert state(lake).valid_through_ms <= now_ms()
        with monkeypatch.context() as both:
            both.setattr("impressions.kafka.broker_clock.now_ms", lambda settings: ahead_ms)
            land(lake, clock=FixedClock(ahead_ms))
        assert state(lake).valid_through_ms == ahead_ms
        again = start_run("land")
        land(lake, run=again)
        assert state(lake).valid_through_ms <= now_ms()
        assert any("by a clock that was ahead" in note for note in again.notes)

    @pytest.mark.slow
    def test_until_leaves_what_came_later(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """Raw is then valid through that time, and the next landing takes the rest."""
        lake = live_lake(tmp_path, broker)
        send(lake, [one_log(profile, 1) for profile in range(8)])
        edge_ms = next_slot(lake)
        send(lake, [one_log(profile, 2) for profile in range(8)])
        report = land(lake, until_ms=edge_ms)
        early = [log for log in arrived(lake.settings) if log[2] < edge_ms]
        assert len(early) == 8
        assert raw_rows(lake) == expected_raw(early)
        assert report.extra["valid_through_ms"] == state(lake).valid_through_ms == edge_ms
        assert report.counts["lag"] > 0
        land(lake)
        assert raw_rows(lake) == expected_raw(arrived(lake.settings))


@pytest.mark.slow
def test_history_and_topic_must_not_overlap(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """A row of a file that was ingested after the topic's first record: landing is refused."""
    lake = live_lake(tmp_path, broker, slot_seconds=86_400)
    send(lake, [one_log(1, 1)])
    first_ms = arrived(lake.settings)[0][2]
    history = [(9, event(3, first_ms - DAY_MS), first_ms - 1)]
    write_closed(lake, history, valid_through_ms=first_ms + DAY_MS)
    land(lake)
    assert state(lake).valid_through_ms < first_ms + DAY_MS, "what files claimed is taken back"

    settings = lake.settings.model_copy(update={"home": tmp_path / "other"})
    other = Lake(settings, spark_session(settings, "tests"))
    write_closed(other, [(9, event(3, first_ms), first_ms)])
    with pytest.raises(Refused) as refused:
        land(other)
    assert refused.value.reason == "overlap"


@pytest.mark.slow
def test_a_row_that_lands_in_a_closed_slot_opens_it_again(
    spark: SparkSession, tmp_path: Path, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both clocks were days ahead, so the slot was closed too early. The row is kept, the slot is
    closed again, and the generation that lacks it is named."""
    lake = live_lake(tmp_path, broker, slot_seconds=86_400, audits={"sample_profiles": 0})
    cutover_ms = slot_start_ms(now_ms(), lake.settings.spec) + 2 * DAY_MS
    ahead = FixedClock(cutover_ms + DAY_MS)
    monkeypatch.setattr("impressions.kafka.broker_clock.now_ms", lambda settings: ahead())
    send(lake, [one_log(1, 1), one_log(2, 1)])
    land(lake, clock=ahead)
    close_all(lake)
    job = Compacting(lake.settings, cutover_ms, start_run("compact"))
    compact.compact(job)
    assert [g.lacks for g in read_lake(lake.settings).generations] == [0]
    send(lake, [one_log(1, 1), one_log(1, 2)])  # the first of them resent
    land(lake, clock=ahead)
    slots = slot_states(tables.find(lake.settings, tables.RAW), state(lake).snapshot_id)
    assert sum(slot.undecided for slot in slots.values()) == 2
    close_all(lake)
    sent = arrived(lake.settings)
    assert counting(lake) == expected_counting(sent, DAY_MS)
    (found,) = read_lake(lake.settings).generations
    assert (found.generation, found.lacks) == (job.name, 2)


@pytest.mark.slow
def test_a_commit_that_came_between_is_never_overwritten(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """A close that was computed before a landing is refused after it, and tried again takes
    nothing back."""
    lake = live_lake(tmp_path, broker)
    send(lake, [one_log(1, 1)])
    land_through(lake, now_ms() + 1000)
    before, table = state(lake), tables.find(lake.settings, tables.RAW)
    slots = slot_states(table, before.snapshot_id)
    send(lake, [one_log(1, 2)])
    land(lake)
    landed, rewrite = state(lake), Rewrite(lake.settings, Runner())
    with pytest.raises(Conflict):
        rewrite.attempt(table, before, set(slots), {})
    rewrite.attempt(tables.find(lake.settings, tables.RAW), landed, set(slots), {})
    after = state(lake)
    assert after.snapshot_id != landed.snapshot_id
    assert (after.landed, after.valid_through_ms) == (landed.landed, landed.valid_through_ms)
    land(lake)
    assert raw_rows(lake) == expected_raw(arrived(lake.settings))
