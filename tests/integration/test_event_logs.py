"""Spark's event logs: written by default, also of a job that fails, found again, and bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from batch.spark.event_logs import conf, directory_of, sweep
from impressions.history.run_history import RunHistory
from impressions.settings.model import Settings

JOB = """
from batch.spark.session import using_spark
from impressions.process.command import Json, run, verb
from impressions.settings.model import Settings

@verb(job="compact")
def job(settings: Settings, json: Json = False) -> None:
    with using_spark(settings, "that fails") as spark:
        spark.range(4).selectExpr("raise_error('no such title')").collect()

run(job)
"""


@pytest.mark.slow
@pytest.mark.spark
def test_a_job_that_fails_leaves_its_log_and_says_how_to_open_it(tmp_path: Path) -> None:
    """A real failing stage, in a home with a space: in the log; the line under --json and in the
    history; old logs go, other files stay."""
    home = tmp_path / "a home"
    logs = home / "logs" / "spark-events"
    logs.mkdir(parents=True)
    for i in range(3):
        (logs / f"local-{i}.zstd").write_text("old")
        os.utime(logs / f"local-{i}.zstd", (i, i))
    (logs / "notes.txt").write_text("mine")
    program = tmp_path / "job.py"
    program.write_text(JOB)
    sets = (f"home={home}", "spark.master=local[1]", "spark.event_logs=2",
            "spark.driver_memory=1g")  # fmt: skip
    answer = subprocess.run(
        [sys.executable, program, "--json", *(w for s in sets for w in ("--set", s))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 1, answer.stderr
    (note,) = json.loads(answer.stdout)["notes"]
    (log,) = [path for path in logs.iterdir() if path.name not in ("notes.txt", "local-2.zstd")]
    assert log.name.removesuffix(".zstd") in note
    assert f'-Dspark.history.fs.logDirectory="{logs}"' in note
    assert Path(note.split()[-2]).is_file()
    with pa.input_stream(str(log), compression="zstd") as stream:
        events = [json.loads(line) for line in stream.read().splitlines()]
    ends = [e["Job Result"]["Result"] for e in events if e["Event"] == "SparkListenerJobEnd"]
    assert ends == ["JobFailed"]
    assert events[-1]["Event"] == "SparkListenerApplicationEnd"
    (run,) = RunHistory(str(home / "history")).runs("compact")
    assert (run.exit_code, run.extra["notes"]) == (1, [note])
    assert "no such title" in (run.error or "")


def test_where_logs_go(tmp_path: Path) -> None:
    """Below home by default, wherever the setting says, or nowhere; a local directory is made."""
    here = Settings(home=tmp_path / "home")
    assert directory_of(here) == f"file://{tmp_path}/home/logs/spark-events"
    assert conf(here)["spark.eventLog.dir"] == directory_of(here)
    assert (tmp_path / "home" / "logs" / "spark-events").is_dir()
    there = Settings(home=tmp_path, spark={"event_log_uri": "s3a://bucket/events/"})
    assert conf(there)["spark.eventLog.dir"] == "s3a://bucket/events"
    off = Settings(home=tmp_path, spark={"event_log_uri": "off"})
    assert conf(off) == {"spark.eventLog.enabled": "false"}
    assert sweep(off) == sweep(there) == []


def test_the_newest_logs_are_kept(tmp_path: Path) -> None:
    """By the time of their last write, finished or not; other names are nobody's to delete."""
    settings = Settings(home=tmp_path, spark={"event_logs": 2})
    logs = tmp_path / "logs" / "spark-events"
    logs.mkdir(parents=True)
    names = ["local-9.zstd", "app-2026-0001.inprogress", "application_1_2_1.zstd", "local-x", "a.b"]
    for age, name in enumerate(names):
        (logs / name).write_text("x")
        os.utime(logs / name, (100 - age, 100 - age))
    assert sweep(settings) == ["application_1_2_1.zstd"]
    assert sorted(path.name for path in logs.iterdir()) == sorted(set(names) - {names[2]})
