"""Several server processes on one port: more cores, since one Python process is about one core.

    parent    binds the port (serving/shared_port.py), starts the workers, restarts one that dies
              (after a growing pause), forwards the stop, waits for all; it answers no calls
    worker    `python -m serving.worker_process`: one server on the shared port; it opens the
              generation itself, and all workers share the page cache

A worker writes `ready` to its standard output once. Workers switch to a new generation by the
pointer file, each within `poll_s`.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from impressions.clock import monotonic_s
from impressions.compiled.profiles import prepare
from impressions.core.errors import ServiceError
from impressions.process.child import Child
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.child_processes import ANY_PORT, Pids, registered
from serving.shared_port import reserve

_POLL_S = 0.1
_READY_WITHIN_S = 60.0
_STOP_MARGIN_S = 5.0


class WorkerProcesses:
    """The workers of one parent."""

    def __init__(self, settings: Settings, address: str):
        update = {"listen": address, "metrics_listen": ANY_PORT}
        serving = settings.serving.model_copy(update=update)
        self._settings = settings.model_copy(update={"serving": serving})
        self._workers: list[Child] = []

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def start(self, stopping: threading.Event) -> None:
        """Start all workers and wait until each is ready, or until `stopping` is set.

        Raises:
            ServiceError: one ended before it was ready, or took too long; its own message says why.
        """
        settings = self._settings.model_dump(mode="json")
        for number in range(self._settings.serving.workers):
            message = {"number": number, "settings": settings}
            self._workers.append(Child("worker", "serving.worker_process", message, number=number))
        give_up_s = monotonic_s() + _READY_WITHIN_S
        for number, worker in enumerate(self._workers):
            while not _has_output(worker):
                if stopping.is_set():
                    return
                if monotonic_s() > give_up_s:
                    raise ServiceError(f"worker {number}: not ready in {_READY_WITHIN_S} s")
            if not _wrote_ready(worker):
                if stopping.wait(_POLL_S):
                    return  # systemd stops all processes of a unit at the same time
                raise ServiceError(
                    f"worker {number} ended with code {worker.process.wait()} at its start",
                    hint="its own message stands above",
                )

    def watch(self, stopping: threading.Event) -> None:
        """Restart workers that die, until `stopping` is set."""
        while not stopping.wait(_POLL_S):
            for worker in self._workers:
                worker.look()

    def stop(self) -> None:
        """SIGTERM to all, wait for all. Raises ServiceError if one had to be killed."""
        for worker in self._workers:
            worker.terminate()
        give_up_s = monotonic_s() + self._settings.serving.grace_s + _STOP_MARGIN_S
        killed = [w.process.pid for w in self._workers if not w.ends_by(give_up_s)]
        for worker in self._workers:
            if worker.process.returncode:
                log.warning("worker-ended", pid=worker.process.pid, code=worker.process.returncode)
        if killed:
            raise ServiceError(f"workers {killed} did not stop within the grace and were killed")


def run_workers(
    settings: Settings,
    stopping: threading.Event,
    on_ready: Callable[[str], None],
    children: Pids = dict,
) -> None:
    """Serve with `serving.workers` processes until `stopping` is set; `children` are others whose
    metrics are shown.

    Raises:
        Refused: the port is taken.
        ServiceError: a worker could not start, or did not stop in time.
    """
    if settings.serving.compiled:
        prepare()
    with reserve(settings.serving.listen) as reserved:
        host = settings.serving.listen.rpartition(":")[0]
        address = f"{host}:{reserved.getsockname()[1]}"
        workers = WorkerProcesses(settings, address)

        def all_pids() -> dict[str, int]:
            return {f"worker-{n}": pid for n, pid in enumerate(workers.pids)} | dict(children())

        with registered(settings, "serve", address, CollectorRegistry(), all_pids):
            try:
                workers.start(stopping)
                if not stopping.is_set():
                    log.info(
                        "started", address=address, workers=len(workers.pids), pids=workers.pids
                    )
                    on_ready(address)
                workers.watch(stopping)
            finally:
                workers.stop()


def _has_output(worker: Child) -> bool:
    assert worker.process.stdout is not None
    return bool(select.select([worker.process.stdout], [], [], _POLL_S)[0])


def _wrote_ready(worker: Child) -> bool:
    assert worker.process.stdout is not None
    return worker.process.stdout.readline() == b"ready\n"
