"""Backpressure for callers that do not read: a limit of unread answers for each connection.

A call is over for the server once gRPC has its answer, and gRPC keeps the bytes until the caller
reads them. A caller that sends requests and never reads would fill the memory of the server. So the
unread bytes of each connection are counted; above the limit its calls are refused until it reads.
"""

from __future__ import annotations

import threading
from collections import Counter

from impressions.core.errors import NotReady
from serving.caller import Caller

LIMIT_BYTES = 32 << 20


class UnreadAnswers:
    """Bytes of answers that gRPC holds and the caller has not read, by connection."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES):
        self._limit_bytes, self._lock = limit_bytes, threading.Lock()
        self._bytes: Counter[str] = Counter()

    def check(self, peer: str) -> None:
        """Raises NotReady, reason `overloaded`, for a caller with too many unread bytes."""
        unread = self._bytes.get(peer, 0)
        if unread >= self._limit_bytes:
            raise NotReady(
                f"{unread} bytes of answers wait on this connection to be read,"
                f" expected less than {self._limit_bytes}",
                hint="read the answers to earlier calls",
                reason="overloaded",
            )

    def hold(self, peer: str, context: Caller, size: int) -> None:
        """Count the bytes of an answer until the end of its call."""
        self.add(peer, size)
        if not context.add_callback(lambda: self.add(peer, -size)):
            self.add(peer, -size)

    def add(self, peer: str, size: int) -> None:
        """Count bytes, or, negative, leave them out again."""
        with self._lock:
            self._bytes[peer] += size
            if not self._bytes[peer]:
                del self._bytes[peer]
