"""The units of deploy/systemd: systemd takes them, and what they start exists with its flags."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pages.test_commands import wrong_with

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
PROGRAM = "/opt/impressions/.venv/bin/impressions"


def unit(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(path)
    return parsed


def commands() -> dict[str, list[str]]:
    """Unit -> the words after the program."""
    found = {}
    for path in UNITS:
        if path.suffix == ".service":
            program, *words = unit(path)["Service"]["ExecStart"].split()
            assert program == PROGRAM, path.name
            found[path.stem] = words
    return found


def test_every_unit_starts_a_command_that_exists() -> None:
    assert len(commands()) == 8
    assert {name: wrong_with(words) for name, words in commands().items()} == dict.fromkeys(
        commands()
    )


def test_a_timer_has_its_service() -> None:
    timers = [path for path in UNITS if path.suffix == ".timer"]
    assert [path.stem for path in timers] == [
        "impressions-housekeeping",
        "impressions-sync",
        "impressions-week",
    ]
    for path in timers:
        assert path.with_suffix(".service") in UNITS
        assert unit(path)["Timer"]["Persistent"] == "true", "a missed start is made up"


def test_what_no_repetition_cures_is_not_repeated() -> None:
    """The codes of the report (impressions/steps/report.py) and those of the unit are the same."""
    from impressions.steps.report import NEXT, RETRY

    service = unit(ROOT / "deploy" / "systemd" / "impressions-week.service")["Service"]
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert prevented == set(NEXT) - RETRY


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_them(tmp_path: Path) -> None:
    """With a program and a user that this machine has."""
    for path in UNITS:
        text = path.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / path.name).write_text(re.sub(r"^User=.*$", "User=root", text, flags=re.M))
    copies = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(
        ["systemd-analyze", "verify", *copies], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
