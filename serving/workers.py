"""Several server processes on one port: more cores, since one Python process is about one core.

    parent    holds the port (serving/port.py), starts the workers, restarts one that dies after a
              growing pause, forwards the stop, waits for all; it answers nothing itself
    worker    `python -m serving.worker`: one server on the shared port; it opens the generation
              itself and shares the page cache

The settings go to a worker as one line of JSON on its standard input, which then stays open: when
the parent is gone, even by SIGKILL, the worker reads the end of file and stops. On standard output
a worker says `ready` once. Workers are started fresh, never forked: gRPC does not survive a fork.
They agree on the generation through the pointer file, each within `poll_s`.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from impressions.clock import monotonic_s
from impressions.errors import ServiceError
from impressions.shell import log
from impressions.shell.settings import Settings
from serving.port import reserve

_LOOK_S = 0.1
_READY_WITHIN_S = 60.0
_STEADY_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0
_STOP_MARGIN_S = 5.0


@dataclass
class Place:
    """One worker's place in the crew: the process in it now, and when the next may start."""

    number: int
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float = _FIRST_PAUSE_S
    restart_at_s: float | None = None


class Crew:
    """The workers of one parent."""

    def __init__(self, settings: Settings, address: str):
        self._settings, self._address = settings, address
        self._places: list[Place] = []

    @property
    def pids(self) -> list[int]:
        return [place.process.pid for place in self._places]

    def start(self, stopping: threading.Event) -> None:
        """Start all workers and wait until each is ready, or until `stopping` is set.

        Raises:
            ServiceError: one ended before it was ready, or took too long; its own line says why.
        """
        for number in range(self._settings.serving.workers):
            self._places.append(Place(number, self._spawn(number), monotonic_s()))
        give_up_s = monotonic_s() + _READY_WITHIN_S
        for place in self._places:
            while not _has_output(place.process):
                if stopping.is_set():
                    return
                if monotonic_s() > give_up_s:
                    raise ServiceError(f"worker {place.number}: not ready in {_READY_WITHIN_S} s")
            if not _says_ready(place.process):
                raise ServiceError(
                    f"worker {place.number} ended with code {place.process.wait()} at its start",
                    hint="its own message stands above",
                )

    def watch(self, stopping: threading.Event) -> None:
        """Restart workers that die, until `stopping` is set."""
        while not stopping.wait(_LOOK_S):
            for place in self._places:
                self._look(place, monotonic_s())

    def stop(self) -> None:
        """SIGTERM to all, wait for all. Raises ServiceError if one had to be killed."""
        processes = [place.process for place in self._places]
        for process in processes:
            process.terminate()
        give_up_s = monotonic_s() + self._settings.serving.grace_s + _STOP_MARGIN_S
        killed = [process.pid for process in processes if not _ends_by(process, give_up_s)]
        for process in processes:
            if process.returncode:
                log.warning("worker-ended", pid=process.pid, code=process.returncode)
        if killed:
            raise ServiceError(f"workers {killed} did not stop within the grace and were killed")

    def _look(self, place: Place, now_s: float) -> None:
        if place.process.poll() is None:
            return
        if place.restart_at_s is None:
            if now_s - place.started_s > _STEADY_S:
                place.pause_s = _FIRST_PAUSE_S
            place.restart_at_s = now_s + place.pause_s
            log.warning(
                "worker-died",
                number=place.number,
                pid=place.process.pid,
                code=place.process.returncode,
                restart_in_s=place.pause_s,
            )
            place.pause_s = min(2 * place.pause_s, _LONGEST_PAUSE_S)
        elif now_s >= place.restart_at_s:
            _close_pipes(place.process)
            place.process, place.started_s = self._spawn(place.number), now_s
            place.restart_at_s = None

    def _spawn(self, number: int) -> subprocess.Popen[bytes]:
        serving = self._settings.serving.model_copy(update={"listen": self._address})
        settings = self._settings.model_copy(update={"serving": serving})
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the parent only, which forwards it
        )
        message = {"number": number, "settings": settings.model_dump(mode="json")}
        assert process.stdin is not None
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        return process


def run_workers(
    settings: Settings, stopping: threading.Event, on_ready: Callable[[str], None]
) -> None:
    """Serve with `serving.workers` processes until `stopping` is set.

    Raises:
        Refused: the port is taken.
        ServiceError: a worker could not start, or did not stop in time.
    """
    with reserve(settings.serving.listen) as held:
        host = settings.serving.listen.rpartition(":")[0]
        address = f"{host}:{held.getsockname()[1]}"
        crew = Crew(settings, address)
        try:
            crew.start(stopping)
            if not stopping.is_set():
                log.info("started", address=address, workers=len(crew.pids), pids=crew.pids)
                on_ready(address)
            crew.watch(stopping)
        finally:
            crew.stop()


def _has_output(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], _LOOK_S)[0])


def _says_ready(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == b"ready\n"


def _ends_by(process: subprocess.Popen[bytes], give_up_s: float) -> bool:
    try:
        process.wait(max(0.0, give_up_s - monotonic_s()))
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    finally:
        _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
