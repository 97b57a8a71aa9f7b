"""Runs of several steps: what stops one, what a dry run says, and the one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from impressions.cli import week
from impressions.core.errors import AuditFailed, CorruptData, NotReady, UsageError
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import cutover_of
from impressions.history.run_history import RunHistory
from impressions.process.command import as_app, main
from impressions.process.extras import named
from impressions.settings.model import Settings
from impressions.settings.sections.live import Host
from impressions.steps import dates, host, report, running
from impressions.steps.asked import Asked
from impressions.steps.running import Gone
from impressions.steps.step import Done, Step
from impressions.terminal.report import start_run
from tests.fixed_clock import FixedClock

SUNDAY_MS = cutover_of("2026-11-15")
_WORLD: dict[str, Any] = {}


def land(asked: Asked) -> Done:
    """The step of these tests: what `_WORLD` says of its name."""
    return _step("land")


def close(asked: Asked) -> Done:
    return _step("close")


def export(asked: Asked) -> Done:
    return _step("export")


def _step(name: str) -> Done:
    what = _WORLD[name]
    if isinstance(what, Exception):
        raise what
    assert isinstance(what, Done)
    return what


STEPS = tuple(Step(f.__name__, f"{__name__}:{f.__name__}") for f in (land, close, export))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def go(settings: Settings, *whats: Done | Exception, dry_run: bool = False) -> list[Gone]:
    _WORLD.update(zip(("land", "close", "export"), whats, strict=True))
    return running.go(STEPS, Asked(settings, FixedClock(0), dry_run))


def states(gone: list[Gone]) -> list[str]:
    return [one.state for one in gone]


IDLE, WORK = Done("nothing to do"), Done("3 rows", changed=True)


def test_the_first_failure_ends_the_run_with_its_code(settings: Settings) -> None:
    found = AuditFailed("2 findings", hint="repair the days", reason="quality_findings")
    gone = go(settings, WORK, found, WORK)
    assert states(gone) == ["done", "failed", "not reached"]
    said = report.outcome_of(gone).extra
    assert (said["exit_code"], said["stopped_at"], said["retry"]) == (6, "close", False)
    assert (said["reason"], said["message"]) == ("quality_findings", "2 findings")
    assert [one["state"] for one in said["steps"]] == ["done", "failed", "not reached"]


def test_a_defect_in_a_step_is_reported_as_one(settings: Settings) -> None:
    gone = go(settings, IDLE, KeyError("boom"), WORK)
    assert report.exit_code(gone) == 1
    assert gone[1].line == "unexpected KeyError: 'boom'"
    assert report.outcome_of(gone).extra["retry"] is True


def test_what_a_step_could_not_put_right_ends_the_run_badly_after_the_others(
    settings: Settings,
) -> None:
    """A failure of a later step counts more."""
    rotten = Done("1 whole", left=CorruptData("rotten", reason="rotten"))
    gone = go(settings, rotten, WORK, IDLE)
    assert (states(gone), report.exit_code(gone)) == (["nothing", "done", "nothing"], 4)
    assert report.exit_code(go(settings, rotten, NotReady("busy"), WORK)) == 5


def test_a_dry_run_forgives_what_an_earlier_step_would_have_made(settings: Settings) -> None:
    """But not what is missing anyway, and no other error."""
    early = NotReady("not published", reason="not_published")
    assert states(go(settings, WORK, early, early, dry_run=True)) == ["would", "later", "later"]
    assert report.exit_code(go(settings, WORK, early, IDLE, dry_run=True)) == 0
    assert states(go(settings, IDLE, early, WORK, dry_run=True))[1:] == ["failed", "not reached"]
    assert states(go(settings, WORK, AuditFailed("x"), WORK, dry_run=True))[1] == "failed"


def test_each_step_leaves_a_record_but_for_a_dry_run(settings: Settings) -> None:
    go(settings, WORK, NotReady("busy", reason="busy"), IDLE)
    go(settings, WORK, IDLE, IDLE, dry_run=True)
    runs = {run.job: run for run in RunHistory(settings.history_uri).runs()}
    assert {job: (run.exit_code, run.reason) for job, run in runs.items()} == {
        "land": (0, None), "close": (5, "busy"),
    }  # fmt: skip


def test_the_report_for_people(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each step; then the error, what was not reached, what to do."""
    gone = go(settings, WORK, NotReady("busy", hint="wait"), WORK)
    with pytest.raises(report.Stopped) as stopped:
        report.tell(start_run("week"), gone, json=False)
    out, err = capsys.readouterr()
    assert (stopped.value.exit_code, stopped.value.known.reason) == (5, "not_ready")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["land", "done"], ["close", "failed"], ["export", "not"],
    ]  # fmt: skip
    assert err.splitlines() == [
        "error: close: busy", "hint:  wait", "not reached: export",
        "next:  run the same line again later",
    ]  # fmt: skip


def test_the_report_as_json_is_one_document(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    report.tell(start_run("week"), go(settings, WORK, IDLE, IDLE), json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["job"], said["changed"], said["exit_code"], said["next"]) == (
        "week", True, 0, None,
    )  # fmt: skip
    assert [(one["step"], one["line"]) for one in said["steps"]] == [
        ("land", "3 rows"), ("close", "nothing to do"), ("export", "nothing to do"),
    ]  # fmt: skip


def test_every_exit_code_says_what_to_do() -> None:
    assert set(report.NEXT) == set(range(1, 9))
    assert set(report.NEXT) > report.RETRY


@pytest.mark.parametrize("step", [*week.STEPS, *host.STEPS], ids=lambda step: step.name)
def test_what_a_step_names_exists(step: Step) -> None:
    assert callable(named(step.target))


def test_the_newest_date_is_the_same_for_a_week() -> None:
    """From a Sunday's midnight on, up to the next one."""
    week_ms = dates.WEEK_MS
    for at_ms in (SUNDAY_MS, SUNDAY_MS + 1, SUNDAY_MS + week_ms - 1):
        assert dates.newest_ms("sunday", at_ms) == SUNDAY_MS
    assert dates.newest_ms("sunday", SUNDAY_MS + week_ms) == SUNDAY_MS + week_ms
    assert dates.newest_ms("monday", SUNDAY_MS) == SUNDAY_MS - 6 * DAY_MS
    assert dates.newest_ms("saturday", SUNDAY_MS) == SUNDAY_MS - DAY_MS


def test_missed_dates_lie_between_two_generations() -> None:
    before_ms = SUNDAY_MS - 3 * dates.WEEK_MS
    assert dates.missed_names(before_ms, SUNDAY_MS) == ["2026-11-01", "2026-11-08"]
    assert dates.missed_names(SUNDAY_MS - dates.WEEK_MS, SUNDAY_MS) == []


def test_a_date_that_has_not_come_is_too_early() -> None:
    dates.require_come(SUNDAY_MS, SUNDAY_MS)
    with pytest.raises(NotReady, match="has not come") as error:
        dates.require_come(SUNDAY_MS, SUNDAY_MS - 1)
    assert error.value.reason == "date_not_come"


@pytest.mark.parametrize("flags", [[], ["--latest", "--logical-date", "2026-11-15"]])
def test_exactly_one_date_is_expected(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(as_app(week.command), flags, prog="week") == UsageError.exit_code


def test_a_machine_with_a_host_directory_serves(settings: Settings, tmp_path: Path) -> None:
    """A flag wins over the setting."""
    serving = settings.model_copy(update={"host": Host(data_dir=tmp_path)})
    assert [week._serves(s, None) for s in (settings, serving)] == [False, True]
    assert [week._serves(s, flag) for s, flag in ((settings, True), (serving, False))] == [
        True, False,
    ]  # fmt: skip
