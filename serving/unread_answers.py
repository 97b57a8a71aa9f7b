"""Answers that callers do not read: gRPC holds them, and each connection may leave only so many.

A call's place is free once its answer is handed to gRPC, and gRPC keeps the bytes until the caller
takes them. A caller that asks on and on without reading would fill the memory of the server, so
what a connection has not taken is counted, and above the limit its calls are refused until it does.
"""

from __future__ import annotations

import threading
from collections import Counter

import grpc

from impressions.core.errors import NotReady

LIMIT_BYTES = 32 << 20


class Unsent:
    """Bytes handed to gRPC and not yet taken, by connection."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES):
        self._limit_bytes, self._lock = limit_bytes, threading.Lock()
        self._bytes: Counter[str] = Counter()

    def check(self, peer: str) -> None:
        """Raises NotReady, reason `overloaded`, for a caller that leaves too much unread."""
        unread = self._bytes.get(peer, 0)
        if unread >= self._limit_bytes:
            raise NotReady(
                f"{unread} bytes of answers wait on this connection to be read,"
                f" expected less than {self._limit_bytes}",
                hint="read the answers to earlier calls",
                reason="overloaded",
            )

    def hold(self, peer: str, context: grpc.ServicerContext, size: int) -> None:
        """Count an answer of so many bytes until the end of its call."""
        self._add(peer, size)
        if not context.add_callback(lambda: self._add(peer, -size)):
            self._add(peer, -size)

    def _add(self, peer: str, size: int) -> None:
        with self._lock:
            self._bytes[peer] += size
            if not self._bytes[peer]:
                del self._bytes[peer]
