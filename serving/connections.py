"""Connections: how many a server lets in, how long one may do nothing, who may watch its health.

A connection takes a file descriptor, and so does every file of a generation. Connections get at
most half of them; those above are closed when they come, so a swap and the pointer always find
some. One that sends nothing at first, or has no call for long, is closed as well. gRPC cannot
count connections by caller: that is for what stands in front (docs/operations.md).

A watcher of health is a call that never ends: its connection is never idle. So each host may have
so many, whatever connections they come by.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import grpc

from impressions.core.errors import NotReady
from impressions.process import descriptors
from impressions.settings.sections import Serving
from impressions.terminal import log

HANDSHAKE_S = 10
"""Until a new connection has said what it is."""
WATCHERS_PER_HOST = 256


def options(serving: Serving) -> list[tuple[str, int]]:
    """What gRPC is given for connections."""
    most = descriptors.limit() // 2
    if most < serving.max_connections:
        log.info("connections", most=most, because=f"{2 * most} descriptors")
    return [
        ("grpc.max_allowed_incoming_connections", min(most, serving.max_connections)),
        ("grpc.max_connection_idle_ms", max(1, round(1000 * serving.max_idle_s))),
        ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_S),
    ]


def host_of(peer: str) -> str:
    """The host in gRPC's name of a connection, such as `ipv4:10.0.0.7:41712`."""
    return peer.rpartition(":")[0] or peer


class Watchers:
    """Calls that never end, by the host they come from."""

    def __init__(self, limit: int = WATCHERS_PER_HOST):
        self._limit, self._lock = limit, threading.Lock()
        self._of_host: Counter[str] = Counter()

    def enter(self, context: grpc.ServicerContext) -> None:
        """Count a call until its end. Raises NotReady, reason `overloaded`, above the limit."""
        host = host_of(context.peer())
        with self._lock:
            if self._of_host[host] >= self._limit:
                raise NotReady(
                    f"{self._limit} watchers of this host are there already, the limit",
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
