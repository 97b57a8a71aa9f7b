"""Swaps, rollbacks, installs and removals that are killed half way: always one valid generation.

kill -9 at failpoints (impressions/process/failpoint.py) of the real command, in a process of its
own, while a real server answers.
"""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from bulkload.gc import gc
from bulkload.host_status import status
from bulkload.load import load
from bulkload.verify import verify_host
from impressions.formats.pointer import Pointer
from impressions.process.failpoint import VARIABLE, hits
from tests.bulkload.world import NEW, NEW_MS, OLD, WEEK_MS
from tests.faults.conftest import serving_settings
from tests.serving.support import client_of, result_rows, serving, until

# name of the failpoint, the command that passes it, what answers afterwards, what status says
CASES = [
    ("before-pointer", ["activate", NEW], OLD, ""),
    ("after-pointer", ["activate", NEW], NEW, ""),
    ("after-mark", ["rollback"], NEW, "rollback was stopped half way"),
    ("half-replaced", ["load", NEW, "--again"], NEW, "left by a load that was stopped"),
    ("put-aside", ["gc", "--generation", OLD], NEW, "left by a load that was stopped"),
]


def run(world, words, failpoint=""):
    settings = world.settings
    command = [
        sys.executable, "-m", "bulkload", *words, "--set", f"home={settings.home}",
        "--set", f"partitions={settings.partitions}", "--set", "host.reserve_bytes=0",
    ]  # fmt: skip
    environment = {**os.environ, VARIABLE: failpoint}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def prepared(world, words):
    """NEW is loaded; it answers where the command is not to activate it."""
    load(world.settings, NEW)
    if words[0] != "activate":
        assert run(world, ["activate", NEW]).returncode == 0
    if words[0] == "gc":  # OLD is the backup of NEW until it is passed over
        world.paths.current.write_bytes(without_backup(world))


def without_backup(world):
    return replace(Pointer.decode(world.paths.current.read_bytes()), previous=None).encode()


@pytest.mark.parametrize(("name", "words", "answers", "explained"), CASES)
def test_a_command_killed_half_way_leaves_one_valid_generation(
    world, tmp_path, name, words, answers, explained
):
    """The server answers on, status explains, running it again finishes, gc cleans up."""
    prepared(world, words)
    first = world.active()
    with serving(serving_settings(world)) as server, client_of(server) as client:
        assert client.get(1, at_ms=NEW_MS).context.generation == first
        mark = tmp_path / "hit"
        killed = run(world, words, f"{name}:kill:1:{mark}")
        assert (killed.returncode, hits(mark)) == (-signal.SIGKILL, 1), killed.stderr
        assert world.active() == answers

        def served():
            return client.get(1, at_ms=NEW_MS).context.generation == answers

        until(served, f"{answers} answers")
        problems = " ".join(message for message, _ in status(world.settings).problems)
        assert explained in problems, problems

        again = run(world, words)
        assert again.returncode == 0, again.stderr
        if explained:
            assert explained not in str(status(world.settings).problems)
        until(lambda: client.get(1, at_ms=NEW_MS).context.generation == world.active(), "served")
    assert verify_host(world.settings, None).ok
    foreseen = [r.name for r in gc(world.settings, keep=1, dry_run=True).removed]
    assert [r.name for r in gc(world.settings, keep=1).removed] == foreseen
    assert not list(world.paths.loading.iterdir())


def test_a_stale_lock_stops_nobody(world):
    """A lock file of a process that is dead: its text stays, the kernel's lock went with it."""
    for which in ("load", "pointer"):
        world.paths.lock(which).write_text("999999\n")
    assert load(world.settings, NEW).action == "loaded"
    assert run(world, ["activate", NEW]).returncode == 0
    assert world.active() == NEW


def test_after_a_rollback_the_answers_are_those_of_before(world):
    """Value for value; the generation that was left is not promoted by itself, a newer one is."""
    load(world.settings, NEW)
    next_ms = NEW_MS + WEEK_MS

    def answers():
        results = client.get_many(range(1, 25), at_ms=next_ms, totals=True, last_seen=True)
        return [(result_rows(result), result.context.generation) for result in results]

    with serving(serving_settings(world)) as server, client_of(server) as client:
        before = answers()
        for words, name in ((["activate", NEW], NEW), (["rollback"], OLD)):
            assert run(world, words).returncode == 0
            until(lambda: server.generations.current.name == name, f"{name} is served")  # noqa: B023
        assert answers() == before
        for words in (["load", "latest"], ["activate", "latest"]):
            assert run(world, words).returncode == 0
            assert world.active() == OLD
        newer = world.publish(next_ms).generation
        for words in (["load", "latest"], ["activate", "latest"]):
            assert run(world, words).returncode == 0
        until(lambda: {name for _, name in answers()} == {newer}, "the newer one answers")
