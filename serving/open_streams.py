"""Open streams, so that a stopping server can end the idle ones at once.

A stream may be open for days and idle between requests; gRPC's own graceful stop would wait for it
until the grace period is over. `end` answers UNAVAILABLE on each stream, after the request that is
being answered, and the caller opens a stream to another server.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import grpc
from grpc_status import rpc_status

from impressions.core.errors import NotReady
from serving.error_status import status_of

_STOPPING = NotReady("the server is stopping", hint="call again elsewhere", reason="stopping")


class OpenStreams:
    """The streams of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[grpc.ServicerContext, threading.Lock] = {}

    @contextlib.contextmanager
    def opened(self, context: grpc.ServicerContext) -> Iterator[threading.Lock]:
        """Register a stream while it is open; hold the lock while a request is answered."""
        busy = threading.Lock()
        with self._lock:
            self._open[context] = busy
        try:
            yield busy
        finally:
            with self._lock:
                del self._open[context]

    def end(self) -> int:
        """End every open stream once it is idle; returns how many there were."""
        with self._lock:
            streams = list(self._open.items())
        status = rpc_status.to_status(status_of(_STOPPING))
        for context, busy in streams:
            with busy, contextlib.suppress(Exception):  # abort always raises in its caller
                context.abort_with_status(status)
        return len(streams)
