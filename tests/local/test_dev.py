"""The whole system left running, as a person uses it: up, play, look, down. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from impressions.clock import now_ms
from impressions.local.settings_file import write_settings
from impressions.process.registry import birth_of
from impressions.producer import Impression, Log, Producer
from impressions.settings.model import Settings, load
from tests.live import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.representative]


class Person:
    """Somebody with a terminal and an `impressions.toml`."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "impressions.toml"
        home = directory / "home"
        serving = {"listen": "127.0.0.1:0", "max_stream_lag_s": 60}  # the machine may be busy
        write_settings(Settings(home=home, partitions=2, serving=serving), self.config)
        self.settings = load(self.config)

    def types(self, *words: str, code: int = 0) -> Any:
        """The JSON that `impressions ... --json` prints."""
        command = [
            sys.executable,
            "-m",
            "impressions.cli.main",
            "--config",
            str(self.config),
            *words,
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def dev(self, what: str) -> dict[str, dict[str, Any]]:
        return {part["name"]: part for part in self.types("dev", what)["processes"]}

    def states(self, what: str) -> dict[str, str]:
        return {name: part["state"] for name, part in self.dev(what).items()}


def test_up_play_look_down(tmp_path: Path) -> None:
    """Up twice is once; status sees what was sent, stage by stage; a worker killed by -9 is named
    and started again; down leaves no process and a second down does nothing."""
    person = Person(tmp_path)
    try:
        up = person.dev("up")
        assert {name: part["state"] for name, part in up.items()} == dict.fromkeys(
            ("broker", "worker", "server"), "started"
        )
        assert set(person.states("up").values()) == {"already runs"}

        send(person.settings, logs=30)
        seen = until(lambda: arrived(person, 30, up["server"]["address"]), "the logs are served")
        assert_status_tells(seen, person.types("status"))

        os.kill(up["worker"]["pid"], signal.SIGKILL)
        until(lambda: birth_of(up["worker"]["pid"]) is None, "the worker is gone")
        again = person.dev("up")
        assert again["worker"]["state"] == "started again"
        assert "INFO" in again["worker"]["last_line"]
        assert again["server"]["pid"] == up["server"]["pid"]
    finally:
        down = person.dev("down")
    assert {name: part["state"] for name, part in down.items()} == dict.fromkeys(
        ("server", "worker", "broker"), "stopped"
    )
    pids = [part["pid"] for run in (up, again, down) for part in run.values()]
    assert [pid for pid in pids if birth_of(pid) is not None] == []
    assert set(person.states("down").values()) == {"does not run"}
    assert person.types("status")["stages"]["deltas"]["state"] == "none", "an old copy is no fault"


def send(settings: Settings, logs: int) -> None:
    with Producer(settings) as producer:
        for n in range(1, logs + 1):
            seen = Impression(title_id=9, event_time_ms=now_ms(), location=0)
            producer.send(Log(profile_id=7, log_id=n, impressions=[seen]))
        assert producer.flush(30) == 0


def arrived(person: Person, logs: int, address: str) -> Any:
    """The answer for the profile once it holds everything."""
    words = ("get", "--profile", "7", "--address", address)
    answer = person.types(*words)
    return answer if answer["rows"] and answer["rows"][0]["impressions"] == logs else None


def assert_status_tells(answer: Any, status: Any) -> None:
    """Live only: everything is well but that there is no generation, which serving says."""
    stages = {name: stage["state"] for name, stage in status["stages"].items()}
    well = dict.fromkeys(("topic", "worker", "deltas", "disk"), "ok")
    assert stages == {"serving": "look"} | well | dict.fromkeys(
        ("landed", "closed", "quality", "generations", "loaded", "active", "jobs", "reconciled"),
        "none",
    )
    (server,) = status["stages"]["serving"]["servers"]
    assert server["reasons"] == ["no_generation"] == answer["context"]["reasons"]
    assert 0 < server["stream_through_ms"] <= status["at_ms"]
    rows = status["partitions"]
    assert [row["worker_offset"] for row in rows] == [row["end_offset"] for row in rows]
    assert sum(row["end_offset"] for row in rows) == status["stages"]["topic"]["records"] > 0
    assert {process["kind"] for process in status["processes"]} == {"speed", "serve", "follower"}
