"""The listening: waitress around the app, until asked to stop.

Threads, because every question is a call that waits: librdkafka, gRPC, a catalog. waitress bounds
what a request may be (its head to 64 KiB, its body to nothing here) and how many connections stand
open.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from impressions.core.errors import Refused

_THREADS = 8
_LIMITS: dict[str, Any] = {
    "connection_limit": 100,
    "channel_timeout": 30,
    "max_request_header_size": 64 << 10,
    "max_request_body_size": 1,
    "ident": "impressions",
}


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[Any]:
    """A listening socket, so that its port is known before anything is served.

    Raises:
        Refused: the port is taken, or the host is none of this machine's.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            raise Refused(
                f"the console cannot listen on {host}:{port} ({error.strerror})",
                hint="--listen 127.0.0.1:0 takes any free port",
                reason="port_taken",
            ) from None
        yield listener


@contextlib.contextmanager
def running(app: Any, listener: Any) -> Iterator[None]:
    """Answers until the end of the block."""
    from waitress import create_server

    server = create_server(app, sockets=[listener], threads=_THREADS, **_LIMITS)
    thread = threading.Thread(target=server.run, name="console", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close()
        thread.join(5)
