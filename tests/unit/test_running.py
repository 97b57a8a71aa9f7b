"""The list of running processes: who says so, who is believed, and who died."""

import json
import os
import subprocess
import sys

from impressions.process.registry import birth_of, died, forget, registered, running
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


def test_a_killed_process_is_known_as_dead_until_the_next_of_its_kind_starts(tmp_path):
    """Also when the list was read meanwhile; one that ends by itself is no death."""
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
        assert died(settings) == []
        process.kill()
        process.wait()
    for _ in range(2):
        assert running(settings) == []
        assert [(entry.kind, entry.pid) for entry in died(settings)] == [("follower", process.pid)]
    with registered(settings, "speed"):
        assert [entry.kind for entry in died(settings)] == ["follower"], "another kind"
    with registered(settings, "follower"):
        assert died(settings) == []
    assert list(settings.run_dir.iterdir()) == []


def test_what_died_is_forgotten_by_kind_and_what_lives_is_not(tmp_path):
    """As `dev down` does: none of them is to run any more."""
    settings = Settings(home=tmp_path)
    with registered(settings, "speed"):
        (path,) = settings.run_dir.glob("*.json")
        dead = {**json.loads(path.read_text()), "birth": "0"}
        for kind in ("serve", "follower"):
            (settings.run_dir / f"{kind}-7.json").write_text(
                json.dumps({**dead, "kind": kind, "pid": 7})
            )
        forget(settings, "serve", "speed")
        assert [entry.kind for entry in died(settings)] == ["follower"]
        assert [entry.kind for entry in running(settings)] == ["speed"]


def test_of_another_machine_nothing_is_known(tmp_path):
    """A home that several share: its processes neither run here nor are they dead."""
    settings = Settings(home=tmp_path)
    with registered(settings, "speed"):
        (path,) = settings.run_dir.glob("*.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
        assert (running(settings), died(settings)) == ([], [])
        assert path.exists()
        path.unlink()


def test_an_entry_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path):
    settings = Settings(home=tmp_path)
    with registered(settings, "speed"):
        (path,) = settings.run_dir.glob("*.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "color": "red"}))
        assert [entry.kind for entry in running(settings)] == ["speed"]


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
