"""Local state that is lost, old or has no room; clocks that are wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import time
from pathlib import Path

from tests.chaos.clocks import drawn_step_s, spelled
from tests.chaos.service import Service
from tests.chaos.skip import Skip
from tests.chaos.system import System
from tests.live import until


def delete_worker_state(system: System, pick: random.Random) -> str:
    worker = pick.choice(system.workers)
    place = _place_of(system, worker)
    worker.hold_down()
    shutil.rmtree(place)
    worker.start()
    return f"{worker.name} {place.name}"


def old_worker_state(system: System, pick: random.Random) -> str:
    """Put back what a worker had rounds ago, as a restored disk image would; keep what it has."""
    worker = pick.choice(system.workers)
    place = _place_of(system, worker)
    old = system.directory / "old" / place.name
    worker.hold_down()
    now = old.with_name(f"{old.name}.now")
    shutil.rmtree(now, ignore_errors=True)
    shutil.copytree(place, now)
    if is_old := old.exists():
        shutil.rmtree(place)
        shutil.copytree(old, place)
    shutil.rmtree(old, ignore_errors=True)
    now.rename(old)
    worker.start()
    if not is_old:
        raise Skip("nothing older was kept; from now on there is")
    return f"{worker.name} {place.name}"


def delete_host_deltas(system: System, pick: random.Random) -> str:
    system.server.hold_down()
    until(lambda: not system.pids("follower"), "the follower to end with its server")
    shutil.rmtree(system.settings.deltas_dir)
    system.server.start()
    return "copy of the deltas"


def fill_disk(system: System, pick: random.Random) -> str:
    """Not a byte is left where the host keeps generations and deltas."""
    if not os.path.ismount(system.disk):
        raise Skip("no small file system could be mounted")
    ballast = system.disk / "ballast"
    try:
        written = _fill(ballast)
        time.sleep(full_s := pick.uniform(1, 6))
    finally:
        ballast.unlink(missing_ok=True)
    return f"{written >> 20} MiB for {full_s:.1f} s"


def step_clock(system: System, pick: random.Random) -> str:
    """Of one process, for seconds, and back."""
    service = pick.choice((*system.workers, system.server))
    with service.clock.wrong_by(seconds := drawn_step_s(pick)):
        until(service.clock.has_been_read, f"{service.name} to read a wrong time")
        time.sleep(wrong_s := pick.uniform(1, 5))
    return f"{service.name} by {spelled(seconds)} for {wrong_s:.1f} s"


def _place_of(system: System, worker: Service) -> Path:
    """The directory whose lock this worker holds."""

    def found() -> Path | None:
        for link in Path(f"/proc/{worker.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = Path(os.readlink(link))
                if target.name == "lock" and target.parent.parent == system.settings.speed_dir:
                    return target.parent
        return None

    place = until(found, f"{worker.name} to take its place")
    assert isinstance(place, Path)
    return place


def _fill(ballast: Path) -> int:
    """Write until the kernel says that there is no room; returns the bytes."""
    written = 0
    with ballast.open("wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    written += out.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return written


ALL = (delete_worker_state, old_worker_state, delete_host_deltas, fill_disk, step_clock)
