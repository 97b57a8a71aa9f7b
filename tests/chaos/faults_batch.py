"""Jobs that are killed half way, generations that come, go back or are damaged on the way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

from impressions.formats.generation_paths import generation_id
from tests.chaos.clocks import drawn_step_s, spelled
from tests.chaos.driver import DriverDied
from tests.chaos.skip import Skip
from tests.chaos.system import System


def swap(system: System, pick: random.Random) -> str:
    """The weekly run, while traffic flows and the watcher reads."""
    _due(system)
    system.generation()
    return generation_id(system.cutovers_ms[-1])


def rollback(system: System, pick: random.Random) -> str:
    """To the generation before that is not marked; the next run is swapped in as ever."""
    before = system.client.describe().generation.generation_id
    code, said = system.try_verb("bulkload", "rollback")
    if code:
        raise Skip(said.strip().partition("\n")[0])

    code, said = system.try_verb("bulkload", "status", "--json")
    assert code == 0, said
    now = json.loads(said)["active"]
    system.serves(now)
    return f"{before} -> {now}"


def kill_lander(system: System, pick: random.Random) -> str:
    """kill -9 in mid-landing; the next landing finishes it, and a generation is made of it."""
    _due(system)
    system.driver.warm()
    after_s = pick.uniform(0.1, 2.5)
    timer = threading.Timer(after_s, system.driver.kill)
    timer.start()
    try:
        system.driver.run("land", "--once")
    except DriverDied:
        pass
    else:
        raise Skip(f"the landing was done before {after_s:.1f} s")
    finally:
        timer.join()
    system.generation()
    return f"after {after_s:.1f} s"


def step_lander_clock(system: System, pick: random.Random) -> str:
    """A weekly run on a clock that is wrong. What it makes is served and compared; where it
    refuses, nothing was made. Either way the next run, on a right clock, goes on from it."""
    _due(system)
    system.driver.warm()
    cutover_ms = system.due_cutover_ms()
    with system.driver.clock.wrong_by(seconds := drawn_step_s(pick)):
        refused = system.first_failure(cutover_ms)
    assert system.driver.clock.has_been_read(), "no process has read the wrong time"
    if refused is None:
        system.cutovers_ms.append(cutover_ms)
        system.install(generation_id(cutover_ms))
        system.batch("land", "--once")
        system.batch("close")
    else:
        system.generation()
    return f"by {spelled(seconds)}: {refused or 'a generation was made'}"


def kill_weekly_run(system: System, pick: random.Random) -> str:
    """kill -9 at any moment of the weekly run, of which the verb is started again."""
    _due(system)
    system.driver.warm()
    after_s, under_way = pick.uniform(0.1, 6), []
    timer = threading.Timer(after_s, lambda: under_way.append(system.driver.kill()))
    timer.start()
    system.generation()
    timer.join()
    if under_way == [None]:
        raise Skip(f"no verb ran any more after {after_s:.1f} s")
    return f"in {under_way[0]}, after {after_s:.1f} s"


def corrupt_before_load(system: System, pick: random.Random) -> str:
    """A byte flips, or the end is lost, where generations are published: neither loaded nor
    served. Mended, it loads."""
    _due(system)
    before = system.client.describe().generation.generation_id
    generation = system.compute()
    published = system.directory / "generations" / generation
    file = pick.choice([published / "manifest.json", *sorted(published.rglob("*.sst"))])
    good = file.read_bytes()
    file.write_bytes(_damaged(good, pick))
    code, said = system.try_verb("bulkload", "load", generation)
    assert code != 0, f"{file} is damaged and was loaded: {said}"
    assert file.name in said, f"{file.name} is damaged; the message does not name it: {said}"
    code, said = system.try_verb("bulkload", "activate", generation)
    assert code != 0, f"{generation} could not be loaded and was activated: {said}"
    assert system.client.describe().generation.generation_id == before
    file.write_bytes(good)
    system.install(generation)
    return f"{file.name} of {generation}"


def kill_load(system: System, pick: random.Random) -> str:
    """kill -9 of a load at any moment; loading again is all it takes."""
    _due(system)
    generation = system.compute()
    what = _killed(("bulkload", "load", generation), pick)
    system.install(generation)
    return what


def kill_activate(system: System, pick: random.Random) -> str:
    """kill -9 in mid-swap: the old generation or the new one, and activating again is enough."""
    _due(system)
    generation = system.compute()
    system.verb("bulkload", "load", generation)
    what = _killed(("bulkload", "activate", generation), pick)
    system.install(generation)
    return what


def _killed(words: tuple[str, ...], pick: random.Random) -> str:
    """Start `impressions <words>` and kill it within about as long as it takes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "impressions.cli.main", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(after_s := pick.uniform(0.2, 1.2))
    process.kill()
    if process.wait(20) != -9:
        raise Skip(f"it was done before {after_s:.1f} s")
    return f"after {after_s:.1f} s"


def _due(system: System) -> None:
    if not system.is_due():
        raise Skip("no ingest slot has ended since the last generation")


def _damaged(good: bytes, pick: random.Random) -> bytes:
    if pick.random() < 0.3:
        return good[: pick.randrange(len(good))]
    at = pick.randrange(len(good))
    return good[:at] + bytes([good[at] ^ 1 << pick.randrange(8)]) + good[at + 1 :]


ALL = (
    swap, rollback, kill_lander, step_lander_clock, kill_weekly_run, corrupt_before_load, kill_load,
    kill_activate,
)  # fmt: skip
