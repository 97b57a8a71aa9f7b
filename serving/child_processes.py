"""The child processes of a server, and how all its processes are listed and measured.

The server that a person starts is the parent. If a stream is configured, it runs a follower, which
keeps this host's copy of the deltas (impressions/deltas/process.py). With several workers, these
are children too. The parent's /metrics includes those of its children, and each process has a file
in `<home>/run`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry

from impressions.clock import monotonic_s
from impressions.process import metrics
from impressions.process import registry as running
from impressions.process.child import Child
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.live_deltas import is_configured

ANY_PORT = "127.0.0.1:0"
Pids = Callable[[], Mapping[str, int]]
"""The children of a parent as they are now, by name."""

_POLL_S = 0.1
_END_S = 10.0


def with_deltas_decided(settings: Settings) -> Settings:
    """The settings for this server and its children: `auto` becomes `on` or `off` for them all."""
    deltas = "on" if is_configured(settings) else "off"
    serving = settings.serving.model_copy(update={"deltas": deltas})
    return settings.model_copy(update={"serving": serving})


@contextlib.contextmanager
def follower_running(settings: Settings) -> Iterator[Pids]:
    """Keep a follower running until the end of the block, if a stream is configured."""
    if not is_configured(settings):
        yield dict
        return
    message = {"settings": settings.model_dump(mode="json"), "metrics_listen": ANY_PORT}
    follower = Child("follower", "impressions.deltas.process", message)
    stopping = threading.Event()

    def watch() -> None:
        while not stopping.wait(_POLL_S):
            follower.look()

    watcher = threading.Thread(target=watch, name="follower", daemon=True)
    watcher.start()
    try:
        yield lambda: {"follower": follower.process.pid}
    finally:
        stopping.set()
        watcher.join()
        follower.terminate()
        if not follower.ends_by(monotonic_s() + _END_S):
            log.warning("follower-killed", pid=follower.process.pid)


@contextlib.contextmanager
def registered(
    settings: Settings, kind: str, address: str, registry: CollectorRegistry, children: Pids
) -> Iterator[str]:
    """Serve /metrics and be in the list of running processes; yields the address of /metrics."""

    def addresses() -> dict[str, str]:
        at = {entry.pid: entry.metrics for entry in running.running(settings)}
        known = {name: at.get(pid) for name, pid in children().items()}
        return {name: address for name, address in known.items() if address is not None}

    registry.register(metrics.OfChildren(addresses))
    with (
        metrics.serve(registry, settings.serving.metrics_listen) as metrics_address,
        running.registered(settings, kind, address=address, metrics=metrics_address),
    ):
        yield metrics_address
