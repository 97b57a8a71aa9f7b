"""Workers for the fault tests of the stream: started, killed, started again, and judged.

    with workers(settings, tmp_path) as start:
        worker = start().ready()

A `Supervised` worker is what runs in production: something above starts it again whenever it ends
with an error.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from impressions.clock import now_ms
from impressions.process.failpoint import VARIABLE
from impressions.settings.model import Settings
from tests.live import assert_stream_is_exact, caught_up, source_ends, until
from tests.speed.traffic import Traffic
from tests.speed.worker_process import WorkerProcess

SEED = int(os.environ.get("SEED", "20261121"))
QUICK = {"session_timeout_s": 6, "clock_margin_s": 0.2}


@contextlib.contextmanager
def workers(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers; ends those still alive afterwards."""
    with contextlib.ExitStack() as stack:

        def start(**environment: str) -> WorkerProcess:
            worker = WorkerProcess(settings, tmp_path, **environment)
            stack.callback(worker.close)
            return worker

        yield start


def switch(name: str, action: str, path: Path, times: int = 1) -> dict[str, str]:
    """The environment that makes a failpoint fire; `hits(path)` counts."""
    return {VARIABLE: f"{name}:{action}:{times}:{path}"}


class Supervised:
    """A worker that is started again whenever it ends with an error.

    Attributes:
        worker: the one that runs, or the last one.
        codes: exit codes so far; negative: the signal that ended it.
    """

    def __init__(self, start: Callable[[], WorkerProcess]):
        self._start, self._stopping = start, threading.Event()
        self.codes: list[int] = []
        self.worker = start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """SIGTERM; the exit code of the last one."""
        self._stopping.set()
        self._thread.join(30)
        return self.worker.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.05):
            code = self.worker.popen.poll()
            if code is not None:
                self.codes.append(code)
                self._stopping.wait(0.5)
                self.worker = self._start()


class Flow:
    """Traffic that flows in a thread of its own until it is asked to end."""

    def __init__(self, settings: Settings, seed: int, records_per_s: int):
        self.traffic = Traffic(settings, seed)
        self._every_s = 10 / records_per_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Everything that was sent is in the topic afterwards."""
        self._ending.set()
        self._thread.join(60)
        self.traffic.flush()

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            self.traffic.send(10)


def applied_by(worker: WorkerProcess) -> int:
    """Records of the source that are behind the progress a worker tells, all partitions."""
    name = "impressions_progress_offset{"
    return int(worker.metric(name)) + worker.samples(name)


def wait_applied(worker: WorkerProcess, settings: Settings, deadline_s: float = 60) -> None:
    """Until everything that is in the source now is applied."""
    end = sum(source_ends(settings).values())
    until(lambda: applied_by(worker) >= end, f"{end} records are applied", deadline_s)


def assert_exact(settings: Settings, tmp_path: Path, at_least: int) -> int:
    """Once everything sent is published: each pair of each profile; returns how many."""
    store = caught_up(settings, tmp_path)
    try:
        compared = assert_stream_is_exact(settings, store, now_ms())
    finally:
        store.close()
    assert compared >= at_least
    return compared
