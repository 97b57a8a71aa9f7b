"""Calls that ended before any thread took them: gRPC's queue was full, or the caller gave up.

gRPC's queue is in its core, and what it cancels there no handler sees. But the core counts the
calls that have begun (channelz), and each call that a thread takes is counted here: by an
interceptor, and by the front. At a moment when none waits, the difference is what was lost.

Only the thread of the front knows such a moment: it has asked for the next event and there was
none, for a second, or at once where /metrics has asked. Two such moments make a count, because a
call may begin between two steps of gRPC. While there is none, the count stays as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import grpc
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from impressions.process.metrics import OnDemand
from serving.refusal import Handler

_WITHIN_S = 0.2


class LostCalls(grpc.ServerInterceptor, OnDemand):
    """The count, and the metric.

    Attributes:
        asked: somebody wants to know: `nothing_waits` shall be called at the next such moment.
        taken: calls that the front has taken; only its thread counts.
        total: lost so far, as far as is known.
    """

    def __init__(self) -> None:
        self.asked, self.taken, self.total = False, 0, 0
        self._intercepted, self._before = 0, -1
        self._answered = threading.Event()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Count a call that a handler of grpc.server takes; one thread of gRPC calls this."""
        self._intercepted += 1
        return continuation(details)

    def nothing_waits(self, begun: int) -> None:
        """By the thread of the front: no call waits, and so many have begun, ever."""
        lost, before = begun - self.taken - self._intercepted, self._before
        self._before = lost
        if before < 0:
            return
        self.total = max(self.total, min(before, lost))
        self.asked, self._before = False, -1
        self._answered.set()

    def count(self) -> int:
        """How many were lost, as of now or of the last time that could be known."""
        self._answered.clear()
        self.asked = True
        self._answered.wait(_WITHIN_S)
        return self.total

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "impressions_lost_calls",
            "Calls that ended before a thread took them: gRPC's queue was full, or the caller"
            " gave up.",
            value=self.count(),
        )
