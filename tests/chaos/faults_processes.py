"""Processes that are killed, stopped or paused, at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator

from impressions.process.failpoint import VARIABLE, hits
from tests.chaos.service import Service
from tests.chaos.skip import Skip
from tests.chaos.system import System
from tests.live import until

FAILPOINTS = ("before-publish", "after-publish", "after-write")


def kill_worker(system: System, pick: random.Random) -> str:
    worker = pick.choice(system.workers)
    worker.kill()
    return worker.name


def kill_worker_at_failpoint(system: System, pick: random.Random) -> str:
    """Between its steps: it is started with a failpoint, meets it, and is killed."""
    worker, name = pick.choice(system.workers), pick.choice(FAILPOINTS)
    fired = system.directory / "logs" / f"failpoint-{pick.getrandbits(32)}"
    worker.hold_down()
    clean = worker.environment
    worker.environment = {**clean, VARIABLE: f"{name}:kill:1:{fired}"}
    worker.start()
    worker.environment = clean
    until(lambda: hits(fired) == 1, f"the failpoint {name} in {worker.name}", 60)
    return f"{worker.name} {name}"


def kill_both_workers(system: System, pick: random.Random) -> str:
    for worker in system.workers:
        worker.kill()
    return "both"


def leave_and_join(system: System, pick: random.Random) -> str:
    """A worker is asked to end, does so well, and comes back."""
    worker = pick.choice(system.workers)
    _stop_well(worker)
    time.sleep(pick.uniform(0, 2))
    worker.start()
    return worker.name


def kill_follower(system: System, pick: random.Random) -> str:
    pids = system.pids("follower")
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return f"{len(pids)}"


def kill_server(system: System, pick: random.Random) -> str:
    system.server.kill()
    return "server"


def kill_server_worker(system: System, pick: random.Random) -> str:
    """Of the processes that share the port, if there are several."""
    pids = system.pids("serve-worker")
    if not pids:
        raise Skip("one process serves")
    os.kill(pick.choice(pids), signal.SIGKILL)
    return f"one of {len(pids)}"


def stop_server(system: System, pick: random.Random) -> str:
    _stop_well(system.server)
    system.server.start()
    return "server"


def pause_worker(system: System, pick: random.Random) -> str:
    """Also past its session, so that the other one takes its partitions."""
    worker = pick.choice(system.workers)
    with paused(worker.pid):
        time.sleep(paused_s := pick.choice((0.5, 3.0, 9.0)))
    return f"{worker.name} for {paused_s} s"


def pause_follower(system: System, pick: random.Random) -> str:
    """Also past the bound of staleness."""
    (pid,) = system.pids("follower")
    with paused(pid):
        time.sleep(paused_s := pick.choice((0.5, 3.0, 7.0)))
    return f"for {paused_s} s"


def pause_server(system: System, pick: random.Random) -> str:
    with paused(system.server.pid):
        time.sleep(paused_s := pick.choice((0.5, 3.0)))
    return f"for {paused_s} s"


def _stop_well(service: Service) -> None:
    code = service.stop()
    assert code == 0, f"{service.name} ended with {code} at SIGTERM"


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


ALL = (
    kill_worker, kill_worker_at_failpoint, kill_both_workers, leave_and_join, kill_follower,
    kill_server, kill_server_worker, stop_server, pause_worker, pause_follower, pause_server,
)  # fmt: skip
