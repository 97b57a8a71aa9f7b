"""`impressions week` from files to a host, in one lake: killed anywhere, run again, weeks missed.

Answers are those of the oracle in raw, in the aggregates and in the store of the host, each time.
The first week is ended at every boundary of its steps and inside them, by SIGKILL of the command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch.lake import snapshots, tables
from batch.lake.slot_states import slot_states
from impressions.cli.week import STEPS
from impressions.core import merge
from impressions.core.item import profile_of_key
from impressions.formats import profile_block
from impressions.formats.generation_paths import HostPaths, generation_id
from impressions.formats.pointer import Pointer
from impressions.history.run_history import RunHistory
from impressions.process.failpoint import VARIABLE, hits
from impressions.rocksdb import generation_store
from impressions.settings.model import Settings
from impressions.steps import host, report, running
from impressions.steps.asked import Week
from impressions.steps.dates import WEEK_MS
from impressions.steps.running import Gone
from oracle import naive
from tests.compare import as_dict, differences
from tests.fixed_clock import FixedClock
from tests.integration.conftest import Lake, new_lake
from tests.integration.history import (
    DAY,
    MAPPING,
    START,
    Log,
    counting,
    expected,
    logs,
    rows_of,
    write_parquet,
)
from tests.integration.landing import raw_id
from tests.integration.raw_events import ema_rows
from tests.spark import small_settings
from tests.tolerance import FLOAT32_STORED, FLOAT64

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1_800)]

SEED = 20261129
WEEKS = 5
SET = {
    "partitions": "4", "host.reserve_bytes": "0", "audits.volume_max_ratio": "100",
}  # fmt: skip

KILLED = [
    "after-rejected", "before-publish", "before-close", "before-quality", "before-compact",
    "sst-uploaded", "after-write", "after-fast-forward", "before-manifest", "before-export",
    "before-load", "after-pointer", "before-gc",
]  # fmt: skip
"""In the order in which a run comes to them; more of a host's: tests/bulkload/test_sync.py."""


@dataclass
class Place:
    """A lake, the files of its weeks, and the runs of them."""

    lake: Lake
    made: list[Log]
    files: Path
    mapping: Path
    marks: Path

    def date_ms(self, week: int) -> int:
        return START + week * WEEK_MS

    def name(self, week: int) -> str:
        return generation_id(self.date_ms(week))

    def deliver(self, week: int) -> None:
        """The file of what was ingested in a week, the first of which is week 1."""
        first_ms = self.date_ms(week - 1)
        some = [log for log in self.made if first_ms <= log[2] < first_ms + WEEK_MS]
        write_parquet(self.files / f"week-{week}.parquet", rows_of(some))

    def command(self, week: int, *flags: str, failpoint: str = "") -> subprocess.CompletedProcess:
        """`impressions week` as a process."""
        settings = {**SET, "home": str(self.lake.settings.home)}
        words = [f"{key}={value}" for key, value in settings.items()]
        return subprocess.run(
            [sys.executable, "-m", "impressions.cli.main", "week", "--logical-date",
             self.name(week), "--host", "--from-files", str(self.files), "--mapping",
             str(self.mapping), *flags, *(part for word in words for part in ("--set", word))],
            env={**os.environ, VARIABLE: failpoint}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def go(self, week: int, *, dry_run: bool = False) -> list[Gone]:
        """The same in this process."""
        cutover_ms = self.date_ms(week)
        given = {"paths": [str(self.files)], "mapping": self.mapping}
        clock = FixedClock(cutover_ms + 3_600_000)
        settings = self.lake.settings
        asked = Week(settings, clock, dry_run, cutover_ms=cutover_ms, from_files=given)
        return running.go((*STEPS, *host.STEPS), asked)

    def fail_at(self, point: str, week: int) -> None:
        """A run that ends there with an error."""
        mark = self.marks / f"{point}-failed"
        failed = self.command(week, failpoint=f"{point}:raise:1:{mark}")
        assert (failed.returncode, hits(mark)) == (1, 1), f"{point}: {failed.stderr}"

    def kill_at(self, point: str, week: int) -> None:
        mark = self.marks / point
        killed = self.command(week, failpoint=f"{point}:kill:1:{mark}")
        assert (killed.returncode, hits(mark)) == (-signal.SIGKILL, 1), f"{point}: {killed.stderr}"

    def check(self, week: int) -> None:
        """Raw, aggregates and host answer as the oracle does, and the host's is the newest."""
        cutover_ms = self.date_ms(week)
        known = [log for log in self.made if log[2] < cutover_ms]
        applied = naive.accept(known)[0]
        wanted = naive.answers(applied, cutover_ms)
        assert len(wanted) > 50
        assert counting(self.lake) == expected(applied), f"seed {SEED}"
        assert differences(ema_rows(self.lake), wanted, FLOAT64) == [], f"seed {SEED}"
        assert differences(self.host_rows(week), wanted, FLOAT32_STORED) == [], f"seed {SEED}"
        paths = HostPaths(self.lake.settings.host_dir)
        assert Pointer.decode(paths.current.read_bytes()).generation == self.name(week)

    def host_rows(self, week: int) -> dict[Any, Any]:
        settings, cutover_ms = self.lake.settings, self.date_ms(week)
        store = HostPaths(settings.host_dir).store(self.name(week))
        found: dict[Any, Any] = {}
        db = generation_store.open_read_only(store, settings.host_shards)
        try:
            for key, value in db.scan():
                block = profile_block.decode(value, settings.spec)
                rows = merge.merge(cutover_ms, cutover_ms, block, (), settings.spec)
                found |= as_dict(profile_of_key(key), rows, settings.spec)
        finally:
            db.close()
        return found

    def refs(self) -> set[str]:
        return set(snapshots.refs(tables.require(self.lake.settings, tables.EMA, "compact")))

    def events(self) -> list[tuple[str, str, str]]:
        runs = RunHistory(self.lake.settings.history_uri).runs()
        return [(e.kind, e.what, e.detail) for run in reversed(runs) for e in run.events]


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("week")
    usual = small_settings(root / "home")
    settings = Settings(
        **{
            **usual.model_dump(exclude={"host", "audits"}),
            "host": {"reserve_bytes": 0},
            "audits": {"volume_max_ratio": 100},
        }
    )
    for name in ("files", "marks"):
        (root / name).mkdir()
    mapping = root / "mapping.toml"
    lines = [pair.partition("=") for pair in MAPPING]
    mapping.write_text("[columns]\n" + "".join(f'{a} = "{b}"\n' for a, _, b in lines))
    made = [log for log in logs(SEED, n=700, days=35) if log[2] < START + WEEKS * WEEK_MS]
    lake = replace(new_lake(root / "home"), settings=settings)
    return Place(lake, made, root / "files", mapping, root / "marks")


@pytest.fixture(scope="module")
def first(place: Place) -> dict[str, Any]:
    """The first week, ended everywhere and at last finished; the report of that run."""
    place.deliver(1)
    for point in KILLED:
        if point == "after-write":
            place.fail_at(point, 1)
        place.kill_at(point, 1)
    done = place.command(1, "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.representative
def test_ended_at_every_step_and_run_again_it_answers_as_the_oracle(
    place: Place, first: dict[str, Any]
) -> None:
    """Nothing twice, nothing lost, no branch left; the last run says what was done already."""
    place.check(1)
    assert place.refs() == {"main", f"gen_{place.name(1).replace('-', '_')}"}
    assert [one["step"] for one in first["steps"]] == [
        "land", "close", "quality", "compact", "export", "load", "check", "activate", "gc",
    ]  # fmt: skip
    assert {one["state"] for one in first["steps"]} == {"nothing"}
    assert (first["job"], first["exit_code"], first["stopped_at"]) == ("week", 0, None)
    history = RunHistory(place.lake.settings.history_uri)
    assert history.last_success("week") is not None
    failed = next(run for run in history.runs("compact") if not run.succeeded)
    assert (failed.exit_code, failed.reason) == (1, "unexpected")


def test_a_dry_run_says_what_each_step_would_do(place: Place, first: dict[str, Any]) -> None:
    """Steps that need what a step before them would make come later; nothing is changed."""
    place.deliver(2)
    before = (raw_id(place.lake), place.refs())
    gone = place.go(2, dry_run=True)
    assert {one.step.name: one.state for one in gone} == {
        "land": "would", "close": "nothing", "quality": "nothing", "compact": "later",
        "export": "later", "load": "nothing", "check": "nothing", "activate": "nothing",
        "gc": "nothing",
    }, [one.line for one in gone]  # fmt: skip
    assert report.exit_code(gone) == 0
    assert (raw_id(place.lake), place.refs()) == before


def test_two_weeks_that_were_missed_are_made_up_by_the_next(
    place: Place, first: dict[str, Any]
) -> None:
    """Weeks 2 and 3 never ran. Their slots are landed, closed and judged by week 4, whose
    generation holds their events; the host goes straight to it."""
    for week in (2, 3, 4):
        place.deliver(week)
    done = place.command(4, "--json")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines() if ": done in " in line] == [
        "land", "compact", "load", "activate",
    ]  # fmt: skip
    place.check(4)
    missed = [place.name(2), place.name(3)]
    said = {one["step"]: one["report"] for one in json.loads(done.stdout)["steps"]}
    assert said["compact"]["missed"] == missed
    tags = {f"gen_{place.name(week).replace('-', '_')}" for week in (1, 4)}
    assert place.refs() == {"main", *tags}
    table = tables.require(place.lake.settings, tables.RAW, "land")
    slots = slot_states(table, raw_id(place.lake))
    assert all(not state.undecided for state in slots.values())
    assert max(slots) == place.date_ms(4) - DAY
    healed = [("healed", "missed weekly run made up", ", ".join(missed))]
    between = f"{place.name(1)} -> {place.name(4)}: {', '.join(missed)}"
    healed.append(("healed", "host caught up after missed generations", between))
    first_healed = [("healed", "publication of a generation finished", place.name(1))]
    assert place.events() == [*first_healed, *healed]
