"""Landing that is killed, raced, robbed of its topic or of its rows: every record stays in once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch.lake import conflict, snapshots, tables
from batch.lake.cursor import LOST
from batch.lake.guarded_commit import commit
from batch.landing import appending
from batch.landing import round as landing
from impressions.core.errors import NotReady, Refused
from impressions.kafka import topics
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from impressions.settings.model import Settings
from oracle import naive
from tests.broker import TestBroker
from tests.integration.conftest import Lake
from tests.integration.live import (
    arrived,
    close_all,
    delete_records,
    expected_raw,
    land,
    live_lake,
    logs,
    raw_name,
    raw_rows,
    recreate,
    rejected_places,
    send,
    state,
)

pytestmark = [pytest.mark.spark, pytest.mark.kafka]


def check_all_is_in_once(lake: Lake) -> None:
    """Raw holds each valid impression as often as it was sent, `rejected` each other one."""
    sent = arrived(lake.settings)
    places = rejected_places(lake)
    assert raw_rows(lake) == expected_raw(sent)
    assert sum(places.values()) == len(places) == naive.accept(sent)[1]["rejected"] > 0


@pytest.mark.slow
@pytest.mark.representative
def test_a_landing_that_fails_anywhere_is_finished_by_the_next(
    spark: SparkSession, tmp_path: Path, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every round more records come, then it fails at one step more; some rows are rejected."""
    lake = live_lake(tmp_path, broker)
    steps = ("before-publish", "after-publish", "after-rejected", "after-commit")
    for n, step in enumerate(steps, start=1):
        send(lake, logs(n, 60))
        fired = tmp_path / step
        monkeypatch.setenv(VARIABLE, f"{step}:raise:1:{fired}")
        with pytest.raises(InjectedFailure):
            land(lake)
        assert hits(fired) == 1
    land(lake)
    check_all_is_in_once(lake)


def command(settings: Settings, *flags: str) -> list[str]:
    """`impressions land` as a process of its own."""
    chosen = {
        "home": settings.home, "partitions": 4, "slot_seconds": 1, "spark.master": "local[2]",
        "spark.driver_memory": "1g", "kafka.bootstrap": settings.kafka.bootstrap,
        "kafka.topic": settings.kafka.topic, "kafka.deltas_topic": settings.kafka.deltas_topic,
        "kafka.rejected_topic": settings.kafka.rejected_topic,
        "kafka.clock_topic": settings.kafka.clock_topic,
    }  # fmt: skip
    sets = [part for pair in chosen.items() for part in ("--set", "{}={}".format(*pair))]
    return [sys.executable, "-m", "batch.land", *flags, *sets]


@pytest.mark.slow
def test_killed_between_its_two_commits_and_stopped_after_a_round(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """kill -9 leaves rejected rows without the rest; `--every` then finishes it and exits 0 on
    SIGTERM."""
    lake = live_lake(tmp_path / "home", broker)
    send(lake, logs(1, 60))
    fired = tmp_path / "fired"
    switch = {VARIABLE: f"after-rejected:kill:1:{fired}"}
    killed = subprocess.run(
        command(lake.settings), env=os.environ | switch, capture_output=True, timeout=800,
        check=False,
    )  # fmt: skip
    assert (killed.returncode, hits(fired)) == (-9, 1), killed.stderr
    assert rejected_places(lake)
    assert state(lake).snapshot_id is None

    running = subprocess.Popen(
        command(lake.settings, "--every", "1h", "--json"), stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert '"landed"' in running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(240) == 0
    check_all_is_in_once(lake)


class TestTwoLanders:
    @pytest.mark.slow
    def test_both_at_once_land_every_record_once(
        self,
        spark: SparkSession,
        tmp_path: Path,
        broker: TestBroker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """They do meet; one that loses again and again may leave the rest to the other."""
        lake = live_lake(tmp_path, broker, land={"max_records": 3})
        send(lake, logs(1, 60))
        met = count_conflicts(monkeypatch)

        def one() -> None:
            with contextlib.suppress(NotReady):
                land(lake)

        in_threads(one, one)
        check_all_is_in_once(lake)
        assert met

    @pytest.mark.slow
    def test_each_with_its_partitions_repeats_only_its_commit(
        self,
        spark: SparkSession,
        tmp_path: Path,
        broker: TestBroker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """While one commits, the other has committed: what was read is not read again, and how far
        raw is complete is what both say."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 60))
        met, read = count_conflicts(monkeypatch), []
        real = landing._read
        monkeypatch.setattr(landing, "_read", lambda *given: read.append(1) or real(*given))
        real_raw = appending.append_raw

        def meeting(job: Any, before: Any, parts: Any) -> Any:
            if job.chosen == (0, 1):
                land(lake, chosen=(2, 3))
                assert state(lake).valid_through_ms == 0, "partitions 0 and 1 are not landed"
            return real_raw(job, before, parts)

        monkeypatch.setattr(appending, "append_raw", meeting)
        land(lake, chosen=(0, 1))
        assert (len(read), len(met)) == (2, 1)
        assert state(lake).valid_through_ms > 0
        check_all_is_in_once(lake)

    def test_rows_computed_from_an_older_snapshot_are_not_published(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """A second commit on the same snapshot is a conflict, whatever it brings."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 20))
        land(lake)
        first, second = raw_table(lake), raw_table(lake)
        commit(first, [], {"by": "first"})
        with pytest.raises(conflict.Conflict, match="branch main has changed"):
            commit(second, [], {"by": "second"})
        assert [c.summary.get("by") for c in state(lake).since] == ["first"]


def raw_table(lake: Lake) -> Any:
    return tables.find(lake.settings, tables.RAW)


def count_conflicts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conflicts that are made from now on."""
    met: list[str] = []
    init = conflict.Conflict.__init__

    def noted(self: conflict.Conflict, *words: str) -> None:
        met.append(str(words))
        init(self, *words)

    monkeypatch.setattr(conflict.Conflict, "__init__", noted)
    return met


def in_threads(*functions: Callable[[], None]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestTheTopic:
    @pytest.mark.slow
    def test_records_that_retention_took_are_refused_then_given_up(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """Named by partition and number; the commit that goes on after them says so."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 40))
        land(lake)
        before = raw_rows(lake)
        cursor = state(lake).landed.cursors[2].next_offset
        send(lake, logs(2, 40), per_record=1)
        delete_records(lake.settings, {2: cursor + 5})
        with pytest.raises(Refused, match=r"5 records went .* partition 2: 5 "):
            land(lake)
        report = land(lake, accept_loss=True)
        assert report.counts["lost"] == 5
        assert raw_rows(lake) - before == expected_raw(
            [log for log in arrived(lake.settings) if log[1] > 200_000]
        )
        head = snapshots.by_id(raw_table(lake))[state(lake).snapshot_id]
        assert head.summary[LOST].startswith("partition 2: 5 ")
        assert land(lake).counts["lost"] == 0

    @pytest.mark.slow
    def test_a_topic_made_again_is_landed_once_the_epoch_says_so(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """Its offsets begin at 0 again; the rows of the first one stay."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 30))
        land(lake)
        first = arrived(lake.settings)
        recreate(lake.settings)
        send(lake, logs(2, 30))
        with pytest.raises(Refused) as refused:
            land(lake)
        assert refused.value.reason == "topic_recreated"
        stream = lake.settings.stream.model_copy(update={"epoch": 2})
        again = Lake(lake.settings.model_copy(update={"stream": stream}), lake.spark)
        land(again)
        assert raw_rows(lake) == expected_raw(first + arrived(lake.settings))
        assert state(lake).landed.topic_id == topics.source_id(lake.settings).hex()


class TestRowsThatAreGone:
    @pytest.mark.slow
    def test_deleted_rows_are_landed_again_from_the_log(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """A part of many logs was deleted, then slots were closed, then more records came. What
        the log no longer holds is refused, and with --accept-loss it stays away."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 60))
        land(lake)
        lake.spark.sql(f"DELETE FROM {raw_name(lake)} WHERE title_id < 4")
        close_all(lake)
        send(lake, logs(2, 30))
        report = land(lake)
        assert report.counts["repaired"] > 0
        check_all_is_in_once(lake)

        whole = raw_rows(lake)
        lake.spark.sql(f"DELETE FROM {raw_name(lake)} WHERE title_id = 4")
        landed = state(lake).landed
        delete_records(lake.settings, {p: c.next_offset for p, c in enumerate(landed.cursors)})
        with pytest.raises(Refused) as refused:
            land(lake)
        assert refused.value.reason == "rows_lost"
        land(lake, accept_loss=True)
        land(lake)
        assert set(whole - raw_rows(lake)) == {key for key in whole if key[1] == 4}

    @pytest.mark.slow
    def test_a_table_rolled_back_goes_on_from_its_own_offsets(
        self, spark: SparkSession, tmp_path: Path, broker: TestBroker
    ) -> None:
        """And one whose landings were forgotten: expired, behind a commit of somebody else."""
        lake = live_lake(tmp_path, broker)
        send(lake, logs(1, 40))
        land(lake)
        first = state(lake).snapshot_id
        send(lake, logs(2, 40))
        land(lake)
        table = tables.full_name(lake.settings, tables.RAW).removeprefix("lake.")
        lake.spark.sql(f"CALL lake.system.rollback_to_snapshot('{table}', {first})")
        land(lake)
        check_all_is_in_once(lake)

        lake.spark.sql(f"DELETE FROM {raw_name(lake)} WHERE title_id < 4")
        lake.spark.sql(
            f"CALL lake.system.expire_snapshots(table => '{table}', retain_last => 1, "
            "older_than => TIMESTAMP '2100-01-01 00:00:00')"
        )
        assert state(lake).landed is None
        send(lake, logs(3, 10))
        land(lake)
        check_all_is_in_once(lake)
