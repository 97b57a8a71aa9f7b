"""The DAG with real Airflow: what it says, and a month of weekly runs on a real lake.

Weeks pass in seconds: ingest slots are two seconds long, and each run takes the newest slot that is
over as its cutover.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impressions.clock import now_ms
from impressions.core.slot import next_slot_ms, parse_logical_date
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings, load
from oracle import naive
from tests.airflow.environment import NoPackages, airflow_python
from tests.airflow.scheduler import Scheduler
from tests.broker import TestBroker, stream_settings
from tests.compare import differences
from tests.fixed_clock import FixedClock
from tests.integration.live import arrived, logs, send_bytes, wire
from tests.live import until
from tests.serving.support import client_of, result_rows, serving
from tests.tolerance import FLOAT32_STORED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

SEED = 11
WEEKS = 4
SUNDAY = "2026-11-15T02:30:00+00:00"
STEPS = ["cutover", "land", "valid_through", "close", "quality", "compact", "export", "hosts"]
ON_A_HOST = ["host.load", "host.check", "host.activate", "host.gc"]
SETTINGS = """\
home = "{home}"
partitions = 4
slot_seconds = 2
[kafka]
bootstrap = "{kafka.bootstrap}"
topic = "{kafka.topic}"
deltas_topic = "{kafka.deltas_topic}"
rejected_topic = "{kafka.rejected_topic}"
clock_topic = "{kafka.clock_topic}"
[land]
clock_margin_s = 0        # one machine, one clock
[audits]
volume_max_ratio = 1000   # the second week has twice what the first had
[host]
reserve_bytes = 0
[serving]
deltas = "off"
listen = "127.0.0.1:0"
[spark]
master = "local[2]"
driver_memory = "1g"
[spark.conf]
"spark.sql.shuffle.partitions" = "2"
"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    try:
        python = airflow_python()
    except NoPackages as failure:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Airflow cannot be downloaded here: {failure}")
    with Scheduler(python, tmp_path_factory.mktemp("airflow") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def facts(scheduler: Scheduler) -> dict[str, Any]:
    return scheduler.ask("facts", last_run="2026-01-04T02:30:00+00:00")


def test_airflow_imports_it_and_it_is_one_dag(facts: dict[str, Any]) -> None:
    assert facts["import_errors"] == {}
    assert facts["dags"] == ["impressions_weekly"]


def test_tasks_follow_each_other_as_the_steps_of_the_week(facts: dict[str, Any]) -> None:
    """The batch in a line; then each host by itself, from load to gc."""
    for before, after in itertools.pairwise(STEPS):
        assert facts["downstream"][before] == [after]
    for before, after in itertools.pairwise(ON_A_HOST):
        assert facts["downstream"][before] == [after]
    assert facts["mapped"] == sorted(ON_A_HOST)


def test_waits_grow_and_nothing_waits_for_ever(facts: dict[str, Any]) -> None:
    """Retries with backoff; a limit for each task; a deadline, then an end of the run."""
    assert set(facts["retries"].values()) == {8}
    assert set(facts["backoff"].values()) == {2.0}
    assert all(facts["timeout_s"].values())
    assert facts["sensor_mode"] == "reschedule"
    assert facts["deadlines"] == [["DagRunQueuedAtDeadline", 12 * 3600, "impressions_tasks.late"]]
    assert facts["given_up_s"] == 48 * 3600


def test_a_run_that_the_scheduler_starts_has_the_deadline(scheduler: Scheduler) -> None:
    """In Airflow's database, counted from when the run was queued."""
    assert scheduler.ask("deadline", at=SUNDAY) == {"left_s": [12 * 3600]}


def test_weeks_that_were_missed_are_one_run(facts: dict[str, Any]) -> None:
    """The scheduler was down since the first Sunday of the year: the next run is of the newest
    Sunday, and one at a time."""
    week_ms = 7 * 86_400_000
    first_ms = parse_logical_date("2026-01-04T02:30:00Z", Settings(slot_seconds=1).spec)
    newest_ms = first_ms + (now_ms() - first_ms) // week_ms * week_ms
    found_ms = parse_logical_date(facts["next_run"], Settings(slot_seconds=1).spec)
    assert 0 <= found_ms - newest_ms <= week_ms
    assert (facts["catchup"], facts["max_active_runs"]) == (False, 1)


@pytest.mark.parametrize(
    ("logical_date", "conf", "cutover"),
    [(SUNDAY, {}, "2026-11-15"), (SUNDAY, {"cutover": "2026-11-08"}, "2026-11-08")],
)
def test_the_cutover_is_the_day_of_the_run_or_what_the_run_is_told(
    scheduler: Scheduler, tmp_path: Path, logical_date: str, conf: dict[str, str], cutover: str
) -> None:
    """Slots of a day: what runs on Sunday at 02:30 holds what came before Sunday."""
    variable = {"command": [impressions()], "directory": str(tmp_path)}
    skipped = "(?!cutover|hosts).*"
    ran = scheduler.ask(
        "run", variable=variable, logical_date=logical_date, conf=conf, skipped=skipped
    )
    assert ran["cutover"] == cutover
    assert ran["state"] == "success", ran


def impressions() -> str:
    return str(Path(sys.executable).with_name("impressions"))


class Lake:
    """A directory in which the DAG runs its commands; its topic, calls and faults."""

    def __init__(self, directory: Path, broker: TestBroker) -> None:
        self.directory, config = directory, directory / "impressions.toml"
        made = stream_settings(directory / "home", broker, partitions=4, slot_seconds=2)
        config.write_text(SETTINGS.format(home=made.home, kafka=made.kafka))
        self.settings = load(config, [])
        self.fault()

    def fault(self, verb: str = "none", *flags: str) -> None:
        """The next call of a verb gets these flags too."""
        text = json.dumps({verb: {"calls": 1, "flags": flags}})
        (self.directory / "faults.json").write_text(text)

    def variable(self, *hosts: str) -> dict[str, Any]:
        """The Airflow Variable; each host is a directory."""
        script = Path(__file__).with_name("command.py")
        command = [sys.executable, str(script), str(self.directory)]
        return {
            "command": command,
            "directory": str(self.directory),
            "hosts": {h: [*command, "--set", f"host.data_dir={self.host(h)}"] for h in hosts},
        }

    def host(self, name: str) -> Path:
        return self.directory / name

    def verbs(self) -> list[str]:
        """Those called since the last time."""
        calls = self.directory / "calls"
        called = [json.loads(line) for line in calls.read_text().splitlines()]
        calls.unlink()
        return [words[2] if words[0] == "--set" else words[0] for words in called]

    def send(self, seed: int) -> None:
        """A week of logs, resent ones too; returns when their slot is over."""
        from impressions.core.shard import shard_of
        from impressions.v1.impression_record_pb2 import ImpressionRecord

        some = logs(seed, 60)
        random.Random(seed).shuffle(some)
        values = [
            (shard_of(log[0], 4), ImpressionRecord(logs=[wire(log)]).SerializeToString())
            for log in some
        ]
        send_bytes(self.settings, values)
        over_ms = next_slot_ms(now_ms(), self.settings.spec)
        until(lambda: now_ms() > over_ms, "the slot to be over")

    def differs(self, host: str, cutover_ms: int) -> list[str]:
        """Answers of a host's active generation that are not the oracle's."""
        accepted, _ = naive.accept(arrived(self.settings), self.settings.spec.slot_ms)
        mine = [event for event in accepted if event[2] < cutover_ms]
        expected = naive.answers(mine, cutover_ms)
        assert len(expected) > 100
        there = self.settings.host.model_copy(update={"data_dir": self.host(host)})
        settings = self.settings.model_copy(update={"host": there})
        found = {}
        with serving(settings, clock=FixedClock(cutover_ms)) as server, client_of(server) as client:
            for profile in {profile for profile, _, _ in expected}:
                result = client.get(profile, by_location=True, totals=True, last_seen=True)
                assert result.context.generation == generation_id(cutover_ms)
                found |= result_rows(result)
        return differences(found, expected, FLOAT32_STORED)


@pytest.mark.kafka  # and no `spark`, which would part it from the others: one Airflow for all
def test_a_month_of_weekly_runs(scheduler: Scheduler, broker: TestBroker, tmp_path: Path) -> None:
    """Four weeks by the DAG alone, a second host from the fourth on; each host answers what the
    oracle says. In the first week `land` comes too early and is run again; in a fifth the audit
    fails, which no retry would mend: nothing is exported, and hosts stay where they are."""
    print(f"seed {SEED}")
    lake = Lake(tmp_path, broker)
    lake.fault("land", "--set", "kafka.topic=not-there-yet")
    for week in range(1, WEEKS + 1):
        lake.send(SEED + week)
        hosts = ("first",) if week < WEEKS else ("first", "second")
        ran = scheduler.ask("run", variable=lake.variable(*hosts), logical_date=None)
        assert ran["state"] == "success", (ran, scheduler.log)
        tries = {task: number for task, _, _, number in ran["tasks"]}
        assert tries["land"] == (2 if week == 1 else 1)
        assert tries["compact"] == 1
        verbs = lake.verbs()
        assert verbs.count("land") == tries["land"]
        assert verbs.count("bulkload") == 4 * len(hosts)
    cutover_ms = parse_logical_date(ran["cutover"], lake.settings.spec)
    assert lake.differs("first", cutover_ms) == []
    assert lake.differs("second", cutover_ms) == []

    lake.send(SEED)
    lake.fault("compact", "--set", "audits.volume_max_ratio=0.001")
    ran = scheduler.ask("run", variable=lake.variable("first"), logical_date=None)
    states = {task: (state, number) for task, _, state, number in ran["tasks"]}
    assert ran["state"] == "failed"
    assert states["compact"] == ("failed", 1)
    assert states["export"] == ("upstream_failed", 0)
    assert lake.verbs().count("compact") == 1
    assert lake.differs("first", cutover_ms) == []
