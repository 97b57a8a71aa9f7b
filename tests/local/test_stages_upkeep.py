"""A system that stands still is bad: each bound of `alerts.*`, just before it and just after it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from impressions.core.spec import DAY_MS
from impressions.history.run_history import RunHistory
from impressions.settings.model import Settings
from impressions.status.disks import Disk, read_disks
from impressions.status.facts import GenerationStatus, HostStatus, Lake, Listed, Published, Rotation
from impressions.status.headroom import Headroom, headroom
from impressions.status.jobs import Jobs, read_jobs, rejected_share
from impressions.status.questions import Absent, Unknown
from impressions.status.stage import Found, Stage
from impressions.status.stages import exit_code, stages
from impressions.storage.directory import Directory, Stored
from tests.history.records import START_MS, record
from tests.local.test_stages import NOW, well

SETTINGS = Settings(partitions=2)
HOUR_MS = 3_600_000
WEEK = 7 * DAY_MS


def found(**changes: Any) -> Found:
    return dataclasses.replace(well(), **changes)


def judged(**changes: Any) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages(found(**changes), SETTINGS)}


def lake(**changes: Any) -> Lake:
    known = well().lake
    assert isinstance(known, Lake)
    return dataclasses.replace(known, **changes)


def said(stage: Stage) -> tuple[str, str]:
    """State, and what is wrong."""
    return stage.state, "; ".join(what for what, _ in stage.problems)


def jobs(tmp_path: Path, *records: Any) -> Jobs:
    """As status reads them of a history that holds these records."""
    settings = Settings(home=tmp_path)
    history = RunHistory(settings.history_uri)
    for one in records:
        history.append(one)
    return read_jobs(settings, lambda: NOW)


def ended_at(at_ms: int, job: str = "compact", **more: Any) -> Any:
    return record(job, (at_ms - START_MS) / 1000 - more.get("seconds", 1), **more)


@pytest.mark.parametrize(("age_h", "state"), [(2.9, "ok"), (3.1, "bad"), (20 * 24, "bad")], ids=str)
def test_a_dead_lander_is_bad_after_three_hours(age_h: float, state: str) -> None:
    """Raw's valid-through stands still; with exit code 7, for a probe."""
    through_ms = NOW - round(age_h * HOUR_MS)
    every = stages(found(lake=lake(valid_through_ms=through_ms)), SETTINGS)
    stage = next(one for one in every if one.name == "landed")
    wrong = "" if state == "ok" else "nothing was landed for more than 3 h"
    assert said(stage) == (state, wrong)
    assert exit_code(every) == (0 if state == "ok" else 7)


def test_raw_of_files_alone_has_no_lander_that_could_be_dead() -> None:
    """Nobody ever landed the topic: an old history is no fault."""
    old = lake(valid_through_ms=NOW - 400 * DAY_MS, landed_offsets=())
    assert judged(lake=old)["landed"].state == "ok"


def room(*waiting_h: float | None, days: float = 7, lost: set[int] | None = None) -> Headroom:
    """Of a topic whose partitions have waited so long; None: nothing waits."""
    stamps = {p: NOW - round(h * HOUR_MS) for p, h in enumerate(waiting_h) if h is not None}
    parts = dict.fromkeys(range(len(waiting_h)))
    return headroom(parts, stamps, lost or set(), round(days * DAY_MS), NOW)


def test_headroom_is_of_the_record_that_waits_longest() -> None:
    """7 days of retention, one record waits since 5 days: 2 days; without any, all 7; lost: 0."""
    assert room(1, 5 * 24).least_ms == 2 * DAY_MS
    assert room(None, None).least_ms == 7 * DAY_MS
    assert room(None, None, lost={1}).least_ms == 0
    assert room(9 * 24).least_ms == 0
    assert headroom({0: None}, {0: 1}, set(), -1, NOW).least_ms is None
    assert room(-2).least_ms == 7 * DAY_MS  # the broker's clock is ahead: no more than all


@pytest.mark.parametrize(
    ("waits_h", "days", "state"),
    [(3.9 * 24, 7, "ok"), (4.1 * 24, 7, "bad"), (1, 2, "ok"), (25, 2, "bad")],
    ids=["over 3 d", "under 3 d", "a topic of 2 d", "half of a topic of 2 d"],
)
def test_headroom_below_three_days_is_bad(waits_h: float, days: float, state: str) -> None:
    """Or below half of what the topic keeps, where that is less."""
    stage = judged(headroom=room(waits_h, days=days))["landed"]
    assert stage.state == state
    assert ("forgets records that are not landed in" in said(stage)[1]) == (state == "bad")


def test_a_topic_that_has_begun_to_forget_says_so() -> None:
    """No time is left: the record that waits is older than the retention."""
    wrong = said(judged(headroom=room(8 * 24))["landed"])
    assert wrong == ("bad", "the topic forgets records that are not landed now")


def generation(age_days: float) -> tuple[Published, ...]:
    return (Published("g", NOW - round(age_days * DAY_MS), 1, True, 0),)


@pytest.mark.parametrize(("age_days", "state"), [(7.9, "ok"), (8.1, "bad")])
def test_a_late_weekly_run_is_bad(age_days: float, state: str) -> None:
    """The newest generation is older than a week and a day, wherever it is known from."""
    assert judged(lake=lake(generations=generation(age_days)))["generations"].state == state
    listed = Listed("g", "complete", NOW - round(age_days * DAY_MS), 1, 1, 1, 1, True, None, False,
                    False, False)  # fmt: skip
    assert judged(published=(listed,))["generations"].state == state


def test_a_generation_from_the_future_hides_no_late_run() -> None:
    """Its age is below every bound: a clock that was ahead made it."""
    future = generation(-30)
    stage = judged(lake=lake(generations=(*generation(20), *future)))["generations"]
    assert said(stage) == ("bad", "the newest cutover lies 30 d in the future")


def test_an_export_without_a_manifest_is_no_new_generation() -> None:
    """Nobody can load it: the newest one is the one before."""
    dead = Listed("g", "incomplete", NOW, None, None, None, None, False, "no manifest", False,
                  False, False)  # fmt: skip
    stage = judged(lake=lake(generations=generation(9)), published=(dead,))["generations"]
    assert stage.state == "bad"
    assert "a weekly run is late" in said(stage)[1]
    assert judged(published=(dead,))["generations"].state == "look"


def host(age_days: float) -> HostStatus:
    """One whose active generation has a cutover of so long ago."""
    cutover_ms = NOW - round(age_days * DAY_MS)
    exact_ms = cutover_ms + 28 * DAY_MS
    one = GenerationStatus("g", "loaded", True, False, False, cutover_ms, "", exact_ms,
                           exact_ms <= NOW, 1, (0,), 1, None, None, None)  # fmt: skip
    return HostStatus("/d", 1, "g", None, None, (0,), (one,), (), (), False)


@pytest.mark.parametrize(
    ("age_days", "state"), [(13.9, "ok"), (14.1, "bad"), (28, "bad"), (400, "bad"), (-1, "bad")]
)
def test_what_a_host_answers_from_is_never_better_for_being_older(
    age_days: float, state: str
) -> None:
    """Nor for lying in the future."""
    assert judged(host=host(age_days))["active"].state == state


def test_a_record_of_a_time_to_come_hides_no_failure(tmp_path: Path) -> None:
    """One run of a clock that was ten years ahead; every failure after it is still the last run."""
    ahead = ended_at(NOW + 3650 * DAY_MS)
    failed = ended_at(NOW - HOUR_MS, exit_code=7, reason="refused")
    known = jobs(tmp_path, ahead, failed)
    stage = judged(jobs=known)["jobs"]
    assert stage.state == "bad"
    assert "compact exit 7 (refused) 1 h ago on h; last success never before" in said(stage)[1]
    alone = judged(jobs=jobs(tmp_path / "alone", ahead))["jobs"]
    assert said(alone) == ("look", "1 record of compact say a time that has not come")
    compared = jobs(tmp_path / "compared", ended_at(NOW - 2 * DAY_MS),
                    ended_at(NOW + DAY_MS, "reconcile"))  # fmt: skip
    assert judged(jobs=compared)["reconciled"].state == "bad"


def test_the_history_is_listed_once_for_all_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store takes its time for each listing, and status has a deadline."""
    jobs(tmp_path, ended_at(NOW, "land"), ended_at(NOW), ended_at(NOW, "reconcile"))
    asked: list[str] = []
    listed = Directory.list

    def counting(directory: Directory, below: str = "") -> list[Stored]:
        asked.append(below)
        return listed(directory, below)

    monkeypatch.setattr(Directory, "list", counting)
    known = read_jobs(Settings(home=tmp_path), lambda: NOW)
    assert (sorted(known.by_name), asked) == (["compact", "land", "reconcile"], [""])


def test_raw_that_was_landed_and_is_gone_is_bad(tmp_path: Path) -> None:
    """A catalog that was lost, or another one: nothing that was never made."""
    gone = Unknown("nothing was landed yet", "impressions land", absent=True)
    landed = jobs(tmp_path, ended_at(NOW, "land", changed=True))
    stage = judged(lake=gone, jobs=landed)["landed"]
    assert stage.state == "bad"
    assert "the history knows a run of land that landed rows" in said(stage)[1]
    idle = jobs(tmp_path / "idle", ended_at(NOW, "land"))
    assert judged(lake=gone, jobs=idle)["landed"].state == "none"


def test_a_job_that_failed_is_bad_until_it_succeeds(tmp_path: Path) -> None:
    """With its exit code, reason, host and error; a week and a day later it is no news."""
    refused = ended_at(NOW - HOUR_MS, exit_code=7, reason="window_changed", error="found 4")
    known = jobs(tmp_path, ended_at(NOW - WEEK), refused)
    stage = judged(jobs=known)["jobs"]
    what = "compact exit 7 (window_changed) 1 h ago on h; last success 7 d ago"
    assert said(stage) == ("bad", what)
    assert stage.problems[0][1] == "found 4"
    assert judged(jobs=known, at_ms=NOW + 9 * DAY_MS)["jobs"].state == "ok"
    assert judged(jobs=jobs(tmp_path, ended_at(NOW)))["jobs"].state == "ok"


def test_what_a_person_ran_or_stopped_is_no_alarm(tmp_path: Path) -> None:
    """An import that was refused was seen by who ran it; so was Ctrl-C."""
    known = jobs(tmp_path, ended_at(NOW, "import", exit_code=7), ended_at(NOW, exit_code=130))
    assert judged(jobs=known)["jobs"].state == "ok"


@pytest.mark.parametrize(
    ("took_s", "state"), [(1999, "ok"), (2001, "bad")], ids=["below twice", "above twice"]
)
def test_a_run_of_twice_the_usual_time_is_bad(tmp_path: Path, took_s: float, state: str) -> None:
    """The median of the eight before is 1,000 s; runs with nothing to do do not count."""
    usual = [ended_at(NOW - i * WEEK, changed=True, seconds=900 + 25 * i) for i in range(1, 8)]
    usual += [ended_at(NOW - i * WEEK, changed=True, seconds=1000) for i in (8, 9)]
    last = ended_at(NOW - DAY_MS, changed=True, seconds=took_s)
    known = jobs(tmp_path, *usual, last, ended_at(NOW))
    assert known.by_name["compact"].usual_s == 1000
    stage = judged(jobs=known)["jobs"]
    assert stage.state == state


def test_a_few_seconds_more_are_not_slow(tmp_path: Path) -> None:
    """Three times a second is still nothing: alerts.slow_by_s."""
    runs = [ended_at(NOW - i * WEEK, "close", changed=True) for i in range(5, 0, -1)]
    known = jobs(tmp_path, *runs, ended_at(NOW, "close", changed=True, seconds=3))
    assert known.by_name["close"].usual_s == 1
    assert judged(jobs=known)["jobs"].state == "ok"


def test_answers_that_nobody_compares_are_bad_after_a_day(tmp_path: Path) -> None:
    """Since the last comparison, or since there are generations; a difference is a comparison."""
    generated = jobs(tmp_path / "a", ended_at(NOW - DAY_MS + HOUR_MS))
    assert judged(jobs=generated)["reconciled"].state == "none"
    assert judged(jobs=generated, at_ms=NOW + 2 * HOUR_MS)["reconciled"].state == "bad"
    compared = jobs(tmp_path / "b", ended_at(NOW, "reconcile", exit_code=6),
                    ended_at(NOW + 1, "reconcile", exit_code=8))  # fmt: skip
    rotation = Rotation(NOW - 3 * DAY_MS, NOW - WEEK, 5)
    stage = judged(jobs=compared, at_ms=NOW + 23 * HOUR_MS, rotation=rotation)["reconciled"]
    assert said(stage) == ("ok", "")
    assert stage.line == "answers compared with raw 23 h ago, all profiles since 7 d 23 h ago"
    later = judged(jobs=compared, at_ms=NOW + 25 * HOUR_MS)["reconciled"]
    assert said(later) == ("bad", "nothing was compared for more than 1 d")


@pytest.mark.parametrize(("free", "state"), [(6, "ok"), (4, "bad")])
def test_a_disk_that_is_nearly_full_is_bad(free: int, state: str) -> None:
    """Below 5 % of what can be written; the place is named."""
    stage = judged(disks=(Disk("home", "/a", 50, 100), Disk("host", "/b", free, 100)))["disk"]
    assert stage.state == state
    assert ("host (/b): 4.0% free" in said(stage)[1]) == (state == "bad")


def test_disks_are_those_of_places_that_exist(tmp_path: Path) -> None:
    """Nothing yet: absent. Then home, and what lies elsewhere; an object store has no disk."""
    settings = Settings(home=tmp_path / "home", generations_uri="s3://a/b")
    with pytest.raises(Absent):
        read_disks(settings)
    (tmp_path / "home" / "host").mkdir(parents=True)
    disks = read_disks(settings)
    assert [one.place for one in disks] == ["home", "host"]
    usage = shutil.disk_usage(tmp_path)
    assert disks[0].size_bytes == usage.used + usage.free
    assert 0 < disks[0].free_share <= 1


def test_a_disk_without_files_left_is_full_whatever_bytes_are_free() -> None:
    """No space left on device, and `df` shows half of it free: `df -i` does not."""
    stage = judged(disks=(Disk("home", "/a", 50, 100, free_files_share=0.01),))["disk"]
    assert said(stage) == ("bad", "home (/a): 1.0% of its files (inodes) free, 50 B")


def test_an_old_history_of_runs_hides_no_new_share() -> None:
    """Rejected of read within a day of the newest landing: 1 of 100, not last month's half."""
    runs = [
        record("land", 40 * 86_400, counts={"read": 60, "rejected": 1}),
        record("land", 40 * 86_400 - 3600, counts={"read": 40}),
        record("land", 0, counts={"read": 100, "rejected": 50}),
    ]
    assert rejected_share(runs) == 0.01
    assert rejected_share([]) is None
