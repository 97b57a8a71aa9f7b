"""A detached process: one at a time, only its own is signalled, a death is named."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from impressions.local.detached import Detached
from impressions.local.pid_file import AlreadyRuns
from impressions.local.settings_file import without_settings, write_settings
from impressions.settings.model import Settings, load
from tests.live import until

SLEEPS = "import time; print('ready', flush=True); time.sleep(60)"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS


def started(directory: Path, program: str) -> Detached:
    place = Detached(directory, "sleeper")
    place.start([sys.executable, "-c", program], os.environ)
    until(lambda: "ready" in place.log_file.read_text(), "it is up")
    return place


def test_it_runs_once_and_stops(tmp_path: Path) -> None:
    """A second start is refused; a stop leaves nothing behind, and no death."""
    place = started(tmp_path, SLEEPS)
    assert place.pid is not None
    with pytest.raises(AlreadyRuns):
        place.start([sys.executable, "-c", SLEEPS], os.environ)
    assert place.stop(timeout_s=10)
    assert (place.pid, place.died()) == (None, None)


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """And that is said."""
    place = started(tmp_path, IGNORES)
    assert not place.stop(timeout_s=0.2)
    assert place.pid is None


def test_a_death_is_named_with_the_last_line(tmp_path: Path) -> None:
    place = started(tmp_path, SLEEPS)
    os.kill(place.pid or 0, signal.SIGKILL)
    until(lambda: place.pid is None, "it is gone")
    assert place.died() == "ready"


def test_a_pid_of_somebody_else_is_never_signalled(tmp_path: Path) -> None:
    """The file of a dead process names a pid that another program has now: this very one."""
    place = Detached(tmp_path, "old")
    (tmp_path / "old.pid").write_text(f"{os.getpid()}\n")
    assert place.pid is None
    assert place.stop(timeout_s=1)


def test_children_get_exactly_the_settings_of_their_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also odd keys and characters; only the owner may read them; variables do not interfere."""
    given = Settings(
        home=tmp_path,
        partitions=4,
        kafka={"properties": {"sasl.password": 'p"ä\\ \n'}},
        spark={"conf": {"spark.a.b": "1"}},
    )
    write_settings(given, tmp_path / "dev" / "settings.toml")
    monkeypatch.setenv("IMPRESSIONS_SLOT_SECONDS", "20")
    monkeypatch.setattr(os, "environ", without_settings(os.environ))
    assert load(tmp_path / "dev" / "settings.toml").model_dump() == given.model_dump()
    assert (tmp_path / "dev" / "settings.toml").stat().st_mode & 0o077 == 0
