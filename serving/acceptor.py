"""CPU time for the acceptor: the one thread of grpcio that accepts calls, and refuses them.

The acceptor and the threads that compute compete for Python's lock, three times for each call, and
the acceptor would lose. Calls would then wait in gRPC's own queue, where nobody counts them; they
would be answered late and refused later. So while calls arrive at a pool that is half full, the
computing threads pause for as long as the acceptor needs to take those calls.
"""

from __future__ import annotations

from time import perf_counter, sleep

_ACCEPT_S = 65e-6  # CPU time to accept a call and refuse it
_BACKLOG_FACTOR = 1.6  # pause longer while calls are queued, or the queue would never become empty
_BACKLOG_GAP_S = 130e-6  # calls that follow each other faster than this were queued
_FLOOD_GAP_S = 1e-3  # less than a millisecond between two calls is a flood
_LONGEST_PAUSE_S = 5e-3
_BUSY_AFTER_S = 10e-3


class AcceptorPriority:
    """How long the computing threads must pause, so that the acceptor gets the CPU first."""

    def __init__(self) -> None:
        self._until_s = self._arrived_s = 0.0
        self.flooded = False
        """Whether calls arrive so close to each other that a refusal must be cheap."""

    def call_arrived(self) -> None:
        """Note that a call has arrived; only the acceptor may call this."""
        now_s = perf_counter()
        gap_s, self._arrived_s = now_s - self._arrived_s, now_s
        self.flooded = gap_s < _FLOOD_GAP_S
        accept_s = _ACCEPT_S * (_BACKLOG_FACTOR if gap_s < _BACKLOG_GAP_S else 1)
        until_s = max(now_s, self._until_s) + accept_s
        self._until_s = min(until_s, now_s + _LONGEST_PAUSE_S)

    @property
    def busy(self) -> bool:
        """Whether calls were arriving a moment ago."""
        return perf_counter() < self._until_s + _BUSY_AFTER_S

    def pause(self) -> None:
        """Sleep while the acceptor needs the CPU, for a bounded time."""
        end_s = perf_counter() + _LONGEST_PAUSE_S
        while (left_s := min(self._until_s, end_s) - perf_counter()) > 0:
            sleep(left_s)
