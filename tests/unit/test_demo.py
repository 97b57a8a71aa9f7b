"""The demo's own parts: what it generates, what it shows, and what it shows of a failure."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from examples.demo.generate import HISTORY_DAYS, Size, make_year
from examples.demo.screen import Claim, Screen, quantile, show_proven
from examples.demo.shell import Shell, StepFailed, tail

NOW_MS = 1_800_000_000_000


@pytest.fixture
def console() -> Console:
    """A pipe."""
    return Console(file=io.StringIO(), width=100, soft_wrap=True, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_generated_year_is_long_skewed_and_the_same_for_a_seed() -> None:
    """Longer than the window, thousands of profiles, and a few of them with most impressions."""
    year = make_year(NOW_MS, np.random.default_rng(7), Size())
    days = np.ptp(year["received_at_ms"].to_numpy()) / 86_400_000
    assert HISTORY_DAYS - 2 < days <= HISTORY_DAYS
    _, counts = np.unique(year["user_id"].to_numpy(), return_counts=True)
    assert len(counts) > 2_000
    assert counts.max() > 20 * np.median(counts)
    assert year.equals(make_year(NOW_MS, np.random.default_rng(7), Size()))


def test_quantiles_are_values_that_were_measured() -> None:
    """p99 of a hundred is the second largest."""
    values = [float(n) for n in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([3.0], 0.99)) == (50, 99, 3)


def test_a_pipe_gets_lines_and_no_bar(console: Console) -> None:
    """Stages are numbered; a command has its time, and below it what it said last."""
    with Screen(2, console) as screen:
        screen.stage("The past")
        with screen.command("impressions close") as said:
            said.append("closed 1 slot")
    lines = printed(console).splitlines()
    assert lines[:2] == ["", "1 of 2  The past"]
    assert lines[2].startswith("  $ impressions close   [0.")
    assert lines[3:] == ["      closed 1 slot"]


def test_a_terminal_gets_a_bar_for_what_takes_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what is waited for; what is short has none."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Screen(2, console) as screen:
        screen.stage("The past")
        with screen.waiting("something short"):
            screen._bars.refresh()
        monkeypatch.setattr("examples.demo.screen.SHORT_S", 0.0)
        with screen.waiting("the stream"):
            screen._bars.refresh()
    assert "1 of 2" in printed(console)
    assert "the stream" in printed(console)
    assert "something short" not in printed(console)


def test_the_last_screen_has_each_claim_beside_its_number(console: Console) -> None:
    """And what to do next."""
    claims = [Claim("from event to answer", "p50 100 ms"), Claim("rolled back", "5 answers")]
    show_proven(console, claims, [("make demo EVENTS=f", "your own")])
    lines = [line.split() for line in printed(console).splitlines() if line.strip()]
    assert ["from", "event", "to", "answer", "p50", "100", "ms"] in lines
    assert ["make", "demo", "EVENTS=f", "your", "own"] in lines


def test_a_command_that_fails_names_the_file_with_the_reason(
    tmp_path: Path, console: Console
) -> None:
    """What it printed went there and not to the screen."""
    with Screen(1, console) as screen, pytest.raises(StepFailed) as failed:
        Shell(tmp_path, screen).run("get")
    log = failed.value.log
    assert log is not None
    assert "--profile" in tail(log)
    assert "failed after" in printed(console)
    assert "--profile" not in printed(console)
