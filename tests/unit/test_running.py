"""The list of running processes: who says so, who is believed, and whose file is removed."""

import json
import os
import subprocess
import sys

from impressions.process.registry import birth_of, registered, running
from impressions.settings.model import Settings


def test_a_process_stands_in_the_list_while_it_runs(tmp_path):
    settings = Settings(home=tmp_path)
    assert running(settings) == []
    with registered(settings, "serve", address="127.0.0.1:1", metrics="127.0.0.1:2"):
        (entry,) = running(settings)
        assert (entry.kind, entry.pid) == ("serve", os.getpid())
        assert (entry.address, entry.metrics) == ("127.0.0.1:1", "127.0.0.1:2")
        assert entry.started_ms > 0
    assert running(settings) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    settings = Settings(home=tmp_path)
    code = """
import sys, time
from impressions.process.registry import registered
from impressions.settings.model import Settings
with registered(Settings(home=sys.argv[1]), "follower"):
    print("registered", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert [entry.pid for entry in running(settings)] == [process.pid]
        process.kill()
        process.wait()
    assert len(list(settings.run_dir.glob("*.json"))) == 1, "the kill left its file"
    assert running(settings) == []
    assert list(settings.run_dir.iterdir()) == []


def test_a_pid_that_came_again_is_another_process(tmp_path):
    """Same pid, born at another moment."""
    settings = Settings(home=tmp_path)
    with registered(settings, "speed"):
        (path,) = settings.run_dir.glob("*.json")
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({**entry, "birth": entry["birth"] + "0"}))
        assert running(settings) == []


def test_junk_in_the_directory_is_no_process(tmp_path):
    settings = Settings(home=tmp_path)
    settings.run_dir.mkdir(parents=True)
    (settings.run_dir / "x-1.json").write_text("{")
    assert running(settings) == []


def test_nobody_has_a_pid_that_is_out_of_range():
    assert birth_of(os.getpid()) is not None
    assert birth_of(2**30) is None
