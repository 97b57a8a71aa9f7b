"""Limits of connections: how many a server accepts, how long one may be idle, how many watchers.

A connection takes a file descriptor, and so does every file of a generation. Connections may take
at most half of the descriptors; the server closes those above the limit when they come, so a
generation can always be opened and the pointer read. It also closes a connection that sends nothing
at first, or has no call for long. gRPC cannot count connections by caller; a proxy in front of the
server can (docs/operations.md).

A call that watches the health never ends, so its connection is never idle. Therefore the number of
such calls is limited for each host they come from, over all its connections.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import grpc

from impressions.core.errors import NotReady
from impressions.process import descriptors
from impressions.settings.sections.live import Serving
from impressions.terminal import log

HANDSHAKE_S = 10
"""A new connection must have finished its handshake by then."""
WATCHERS_PER_HOST = 256


def options(serving: Serving) -> list[tuple[str, int]]:
    """The channel options of gRPC for connections."""
    most = descriptors.limit() // 2
    if most < serving.max_connections:
        log.info("connections", most=most, because=f"{2 * most} descriptors")
    return [
        ("grpc.max_allowed_incoming_connections", min(most, serving.max_connections)),
        ("grpc.max_connection_idle_ms", max(1, round(1000 * serving.max_idle_s))),
        ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_S),
    ]


def host_of(peer: str) -> str:
    """The host in gRPC's name of a peer, such as `ipv4:10.0.0.7:41712`."""
    return peer.rpartition(":")[0] or peer


class Watchers:
    """Counts the calls that watch the health, by the host they come from."""

    def __init__(self, limit: int = WATCHERS_PER_HOST):
        self._limit, self._lock = limit, threading.Lock()
        self._of_host: Counter[str] = Counter()

    def enter(self, context: grpc.ServicerContext) -> None:
        """Count a call until its end. Raises NotReady, reason `overloaded`, above the limit."""
        host = host_of(context.peer())
        with self._lock:
            if self._of_host[host] >= self._limit:
                raise NotReady(
                    f"{self._limit} watchers of this host are open already, the limit",
                    hint="watch once per connection, or ask with Check",
                    reason="overloaded",
                )
            self._of_host[host] += 1
        leave = self._leaving(host)
        if not context.add_callback(leave):
            leave()

    def _leaving(self, host: str) -> Callable[[], None]:
        def leave() -> None:
            with self._lock:
                self._of_host[host] -= 1
                if not self._of_host[host]:
                    del self._of_host[host]

        return leave
