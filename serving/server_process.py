"""One server process: starts a server, keeps it listed and measured, and stops it when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

from impressions.core.errors import ServiceError
from impressions.process import lifetime
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.child_processes import Pids, registered
from serving.server import Server
from serving.wiring import create_server


def run(
    settings: Settings,
    stopping: threading.Event,
    on_ready: Callable[[Server], None],
    *,
    children: Pids = dict,
    kind: str = "serve",
    share_port: bool = False,
) -> None:
    """Serve until `stopping` is set; the metrics of `children` are part of its /metrics.

    Raises:
        ServiceError: it could not answer any more; whoever runs it should start it again.
    """
    server = create_server(settings, share_port=share_port)
    server.on_failure = stopping.set
    registry = server.metrics.registry
    with registered(settings, kind, server.address, registry, children) as metrics_address:
        server.start()
        generation = server.generations.current
        log.info(
            "started",
            address=server.address,
            generation=generation.name if generation else "none",
            metrics=metrics_address,
        )
        on_ready(server)
        server.warm()
        lifetime.started()
        stopping.wait()
        log.info("stopping", address=server.address)
        server.stop()
    log.info("stopped", address=server.address)
    if server.failed:
        raise ServiceError(
            "the thread that answers calls has ended",
            hint="its error stands in the log, as `deaf`; start the server again",
        )
