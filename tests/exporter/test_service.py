"""The exporter as a process and as a loop: a scrape, a part that is away, one that hangs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from impressions.clock import now_ms
from impressions.core.errors import ServiceError
from impressions.exporter.service import Exporter
from impressions.history.run_history import RunHistory
from impressions.history.run_record import HEALED, HistoryEvent
from impressions.settings.model import Settings
from impressions.status import report
from impressions.status.questions import Absent, Unknown, ask_all
from tests.history.records import START_MS, record

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_a_broker_that_is_away_stops_nothing(tmp_path: Path) -> None:
    """A port that nobody listens on: the stream is down, the history's jobs are there."""
    settings = Settings(home=tmp_path, kafka={"bootstrap": "127.0.0.1:1"})
    at_s = (now_ms() - START_MS) / 1000 - 60
    healed = HistoryEvent(HEALED, now_ms(), "rows landed again")
    RunHistory(settings.history_uri).append(record("land", at_s, events=(healed,)))
    exporter = Exporter(settings, now_ms)
    assert list(exporter.collect()) == []
    exporter.look()
    value = exporter.registry.get_sample_value
    up = {q: value("impressions_exporter_question_up", {"question": q}) for q in report.QUESTIONS}
    assert up == dict.fromkeys(report.QUESTIONS, 1.0) | {"stream": 0.0}
    age_s = value("impressions_job_success_age_seconds", {"job": "land"})
    assert age_s is not None
    assert 55 < age_s < 120
    assert value("impressions_history_events_total", {"kind": HEALED}) == 1
    assert value("impressions_disk_free_bytes", {"place": "home"}) > 0


def test_a_question_that_hangs_is_not_asked_twice_and_answers_when_it_can() -> None:
    """One thread hangs, over three looks; when it is free, the next look has the answer."""
    free, asked, unfinished = threading.Event(), [], {}

    def hang() -> int:
        asked.append(1)
        free.wait(60)
        return 7

    questions = {"hangs": hang, "well": lambda: 1}
    for _ in range(3):
        answers = ask_all(questions, 1.0, unfinished)
        assert answers["well"] == 1
        assert isinstance(answers["hangs"], Unknown)
        assert answers["hangs"].late
    assert len(asked) == 1
    free.set()
    for thread in unfinished.values():
        thread.join(10)
    ask_all({}, 0, unfinished)
    assert unfinished == {}
    assert ask_all(questions, 10, unfinished)["hangs"] == 7


def test_what_becomes_bad_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stage and why, when it begins and when it ends."""
    answers = [ServiceError("no broker"), ServiceError("no broker"), None]

    def read_stream(*_: object) -> object:
        if (error := answers.pop(0)) is not None:
            raise error
        raise Absent("not there")

    monkeypatch.setattr("impressions.status.stream.read_stream", read_stream)
    exporter = Exporter(Settings(home=tmp_path), now_ms)
    with caplog.at_level("INFO", "impressions"):
        for _ in range(3):
            exporter.look()
    lines = [r.getMessage() for r in caplog.records if "stage=topic" in r.getMessage()]
    assert lines == ['stage-bad stage=topic why="no broker"', "stage-well stage=topic"]


def test_the_process_answers_and_ends_well(tmp_path: Path) -> None:
    """`impressions exporter`: it prints its address, shows metrics there, SIGTERM is exit 0."""
    home = tmp_path / "home"
    RunHistory(str(home / "history")).append(record("close"))
    words = ["exporter", "--json", "--set", f"home={home}"]
    with subprocess.Popen(
        [sys.executable, "-m", "impressions.cli.main", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["metrics"]
        with DIRECT.open(f"http://{address}/metrics", timeout=10) as response:
            text = response.read().decode()
        assert 'impressions_job_exit_code{job="close"} 0.0' in text
        assert list((home / "run").glob("exporter-*.json"))
        process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert process.returncode == 0
