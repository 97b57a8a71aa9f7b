"""Each run of a job leaves a record however it ends, and the history never decides how it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer

from impressions.core.errors import NotReady, Refused, UsageError
from impressions.history.run_history import RunHistory
from impressions.history.run_record import HEALED, RunRecord
from impressions.process.command import DryRun, Json, as_app, main, verb
from impressions.process.recording import event, recorded
from impressions.settings.model import Settings
from impressions.terminal.listening import tell
from impressions.terminal.report import Outcome, start_run

ERRORS = {
    "refused": lambda: Refused("found 4,\nexpected 8", reason="partitions"),
    "usage": lambda: UsageError("nothing chosen"),
    "bug": lambda: KeyError("boom"),
    "interrupt": lambda: KeyboardInterrupt(),
    "findings": lambda: typer.Exit(6),
    "leaves": lambda: SystemExit(4),
}


@verb(job="close")
def job(
    settings: Settings,
    fail: Annotated[str, typer.Option()] = "",
    name: Annotated[str, typer.Option()] = "close",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """A job for these tests."""
    this = start_run(name, {"fail": fail})
    event(HEALED, "short import completed", "e.csv")
    if fail:
        raise ERRORS[fail]()
    this.report(Outcome(True, {"rows": 3}, {"raw": 7}, {"paths": [Path("a")]})).emit(
        json=json, summary=this.id
    )


@verb(job="load")
def own_report(settings: Settings) -> None:
    """A job that prints something else than a Report."""
    tell(Outcome(True, {"files": 2}))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def call(*argv: str) -> int:
    return main(as_app(job), ["--set", "home=home", *argv], prog="close")


def runs(home: Path) -> tuple[RunRecord, ...]:
    return RunHistory(str(home / "history")).runs()


def test_a_success(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked, what was done, what was healed, and the id that the tables know."""
    assert call() == 0
    (run,) = runs(home)
    assert run.run_id == capsys.readouterr().out.strip()
    assert (run.job, run.exit_code, run.reason, run.error) == ("close", 0, None, None)
    assert (run.changed, run.counts, run.snapshots) == (True, {"rows": 3}, {"raw": 7})
    assert (run.arguments, run.extra) == ({"fail": ""}, {"paths": ["a"]})
    assert [(e.kind, e.what, e.detail) for e in run.events] == [
        (HEALED, "short import completed", "e.csv")
    ]
    assert run.started_ms <= run.ended_ms
    assert run.cpu_s is not None


@pytest.mark.parametrize(
    ("fail", "code", "reason", "error"),
    [
        ("refused", 7, "partitions", "found 4, expected 8"),
        ("bug", 1, "unexpected", "unexpected KeyError: 'boom'"),
        ("interrupt", 130, "interrupted", None),
        ("findings", 6, "findings", None),
    ],
)
def test_a_failure(home: Path, fail: str, code: int, reason: str, error: str | None) -> None:
    """Exit code, reason and one line; the events of a run that failed are kept too."""
    assert call("--fail", fail) == code
    (run,) = runs(home)
    assert (run.exit_code, run.reason, run.error, run.changed) == (code, reason, error, False)
    assert len(run.events) == 1


def test_a_library_that_leaves_the_program(home: Path) -> None:
    """Its exit code is that of the record."""
    with pytest.raises(SystemExit):
        call("--fail", "leaves")
    (run,) = runs(home)
    assert run.exit_code == 4


@pytest.mark.parametrize("argv", [["--dry-run"], ["--fail", "usage"], ["--nonsense"]])
def test_what_is_no_run(home: Path, argv: list[str]) -> None:
    """A dry run, and what was asked wrongly, leave no record."""
    call(*argv)
    assert runs(home) == ()


def test_another_name_of_the_run_is_that_of_the_record(home: Path) -> None:
    """`land --forget` is no landing: whoever asks for the last landing does not get it."""
    assert call("--name", "forget") == 0
    assert [run.job for run in runs(home)] == ["forget"]


def test_a_job_with_a_report_of_its_own(home: Path) -> None:
    """It says its outcome; its arguments are those of the command line."""
    assert main(as_app(own_report), ["--set", "home=home"], prog="load") == 0
    (run,) = runs(home)
    assert (run.job, run.changed, run.counts) == ("load", True, {"files": 2})


def test_an_unreachable_history_is_a_warning(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file where the directory would be: the job ends as it did, and somebody can know."""
    home.mkdir()
    (home / "history").write_text("in the way")
    assert call() == 0
    assert call("--fail", "refused") == 7
    assert [record.getMessage().split()[0] for record in caplog.records].count(
        "run-not-recorded"
    ) == 2


def test_a_report_without_a_json_form_fails_no_job(home: Path) -> None:
    """What cannot be written as JSON is left as its text."""
    with recorded(Settings(home=home), "close", {}) as this:
        this.hear(Outcome(counts={"rows": 1}, extra={"what": object(), "pairs": {(1, 2): 3}}))
    (run,) = runs(home)
    assert run.counts == {"rows": 1}
    assert "not_recorded" in run.extra


def test_steps_of_a_job_are_recorded_beside_it(home: Path) -> None:
    """A week of land and close: three records; an event belongs to the step under way."""
    settings = Settings(home=home)

    def steps() -> None:
        with recorded(settings, "week", {"date": "2026-11-15"}) as week:
            with recorded(settings, "land", {}) as land:
                event(HEALED, "a missed week")
                land.hear(Outcome(True, {"landed": 5}))
            week.hear(Outcome(True, {"steps": 1}))
            with recorded(settings, "close", {}):
                raise NotReady("a slot is open", reason="open_slots")

    with pytest.raises(NotReady):
        steps()
    found = {run.job: run for run in runs(home)}
    assert {job: run.exit_code for job, run in found.items()} == {"week": 5, "land": 0, "close": 5}
    assert found["week"].counts == {"steps": 1}
    assert [len(found[job].events) for job in ("land", "close", "week")] == [1, 0, 0]
