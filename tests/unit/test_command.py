"""Verbs: what reaches them, and what a person or a program sees when they fail."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from impressions.cli.main import VERBS, build_app
from impressions.core.errors import ImpressionsError, Refused
from impressions.process.command import DryRun, Json, as_app, main, verb
from impressions.process.extras import require
from impressions.settings.model import Settings
from impressions.terminal import console
from impressions.terminal.console import Table, emit

ROOT = Path(__file__).resolve().parents[2]


@verb
def show(
    settings: Settings,
    name: Annotated[str, typer.Argument()],
    fail: Annotated[str, typer.Option()] = "",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """A verb for these tests."""
    if fail == "refused":
        raise Refused("found 4, expected 8", hint="set partitions to 4", reason="partitions")
    if fail == "bug":
        raise KeyError("boom")
    if fail == "interrupt":
        raise KeyboardInterrupt
    if fail == "module":
        importlib.import_module("faust_of_nobody")
    if fail == "extra":
        raise ModuleNotFoundError("No module named 'pyspark'", name="pyspark")
    if fail == "exit":
        raise typer.Exit(3)
    emit({"name": name, "partitions": settings.partitions}, json=json)


def call(*argv: str) -> int:
    return main(as_app(show), argv, prog="show")


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMPRESSIONS_DEBUG", raising=False)


def test_settings_come_from_the_verbs_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """`--set` and `--config` stand on every verb, also when it is the whole program."""
    Path("other.toml").write_text("partitions = 2\n")
    assert call("a", "--json", "--config", "other.toml") == 0
    assert json.loads(capsys.readouterr().out) == {"name": "a", "partitions": 2}
    assert call("a", "--json", "--config", "other.toml", "--set", "partitions=3") == 0
    assert json.loads(capsys.readouterr().out)["partitions"] == 3


def test_settings_before_the_verb_reach_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`impressions --set ... config` is `impressions config --set ...`; the latter wins."""
    argv = ["--set", "partitions=2", "--set", "slot_seconds=3600", "config", "--json"]
    assert main(build_app(), [*argv, "--set", "partitions=3"], prog="impressions") == 0
    settings = {row["key"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert settings["partitions"]["value"] == 3
    assert settings["slot_seconds"]["value"] == 3600
    assert settings["slot_seconds"]["from"] == "--set"


def test_a_verb_is_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    """Called with settings it runs as it is, without a command line."""
    show(settings=Settings(partitions=4), name="b", json=True)
    assert json.loads(capsys.readouterr().out)["partitions"] == 4


def test_refusal_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """Message and hint on stderr, nothing on stdout, the exit code of the class."""
    assert call("a", "--fail", "refused") == 7
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: found 4, expected 8\nhint:  set partitions to 4\n"


def test_refusal_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document on stdout, with the reason and the exit code."""
    assert call("a", "--fail", "refused", "--json") == 7
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "error": "Refused",
        "reason": "partitions",
        "message": "found 4, expected 8",
        "hint": "set partitions to 4",
        "exit_code": 7,
    }


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown flag or verb is usage, exit 2, with the way to the help, as text and as JSON."""
    assert call("a", "--nmae", "x") == 2
    assert "show --help" in capsys.readouterr().err
    assert call("--json") == 2
    assert json.loads(capsys.readouterr().out)["reason"] == "usage"
    assert main(build_app(), ["compct"], prog="impressions") == 2
    assert "Did you mean 'compact'" in capsys.readouterr().err


def test_defects_keep_their_traceback_for_debugging(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception is one line and exit 1; the traceback is there when asked for."""
    assert call("a", "--fail", "bug") == 1
    err = capsys.readouterr().err
    assert "unexpected KeyError: 'boom'" in err
    assert "Traceback" not in err
    monkeypatch.setenv("IMPRESSIONS_DEBUG", "1")
    assert call("a", "--fail", "bug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes_of_control_flow() -> None:
    """Ctrl-C is 130; a verb may set its own code."""
    assert call("a", "--fail", "interrupt") == 130
    assert call("a", "--fail", "exit") == 3


def test_missing_extra_is_an_install_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An absent optional package says which extra brings it; any other module is a defect."""
    assert call("a", "--fail", "extra") == 3
    assert "pip install 'impressions-server[spark]'" in capsys.readouterr().err
    assert call("a", "--fail", "module") == 1
    assert "faust_of_nobody" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError, match="faust_of_nobody"):
        require("faust_of_nobody")
    with pytest.raises(ImpressionsError, match=r"\[speed\]"):
        require("faust_of_nobody", extra="speed")


def test_help_loads_no_verb() -> None:
    """`impressions --help` lists every verb and imports none of them, nor what they need."""
    code = (
        "import sys; from impressions.cli.main import build_app\n"
        "from impressions.process.command import main\n"
        "main(build_app(), ['--help'], 'impressions')\n"
        "heavy = {'numpy', 'pyspark', 'pyarrow', 'grpc', 'rocksdict', 'pandas', 'rich'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.endswith("LOADED []\n")
    for name in VERBS:
        assert f"\n  {name} " in answer.stdout


def test_metrics_stay_out_of_another_programs_directory(tmp_path: Path) -> None:
    """A shell that has PROMETHEUS_MULTIPROC_DIR set, even to what does not exist, is no matter."""
    code = (
        "from impressions.process.command import main\n"
        "import prometheus_client as p; p.Counter('a', 'b').inc()"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "not-there")},
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_short_progress_is_silent_away_from_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same calls write nothing when stderr is a pipe and the work takes no time."""
    with console.progress("copy", total=10, unit="bytes") as bar:
        bar.advance(5)
        bar.set(10, 10)
        bar.describe("done")
    assert capsys.readouterr() == ("", "")


def test_data_goes_to_stdout_and_words_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A table in a pipe is whole; messages never mix with it."""
    path = "x" * 120
    emit(None, json=False, table=Table(["n", "path"], [[1, path], [22, "[bold]y"]]))
    console.say("[1] words")
    console.warn("careful")
    out, err = capsys.readouterr()
    assert path in out
    assert "[bold]y" in out
    assert err == "[1] words\nwarning: careful\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.2, "4.2 s"), (60, "1 min"), (93_784, "1 d 2 h"), (86_460, "1 d"), (-90, "-1 min 30 s")],
)
def test_ages_in_words(seconds: float, words: str) -> None:
    """Two units at most."""
    assert console.human_age(seconds) == words


def test_sizes_in_words() -> None:
    """Powers of 1024, named as such."""
    assert [console.human_bytes(n) for n in (0, 1023, 1536, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]


def test_module_run_as_a_program(tmp_path: Path) -> None:
    """`run` at the end of a file makes it a program with --set and an exit code of its own."""
    program = tmp_path / "job.py"
    program.write_text(
        "from impressions.process.command import run, verb\n"
        "from impressions.settings.model import Settings\n"
        "@verb\n"
        "def job(settings: Settings, date: str) -> None:\n"
        "    print(date, settings.partitions)\n"
        "run(job)\n"
    )
    answer = subprocess.run(
        [sys.executable, program, "2026-11-15", "--set", "partitions=5"],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("IMPRESSIONS_")},
    )
    assert (answer.stdout, answer.returncode) == ("2026-11-15 5\n", 0)
