"""Admission control: a call is refused on arrival if the pool of its method is full.

For the methods that grpcio's own handlers take: StreamProfiles and Describe, and the two others
where there is no front (serving/front.py, which asks the same pool). The interceptor runs in the
thread that accepts calls, so a refusal never waits for the computing. Calls of other services
(health checks, reflection) are always admitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc

from impressions.core.errors import NotReady
from serving.call_pool import CallPool
from serving.metrics import CountCode
from serving.refusal import Handler, refusing


class AdmissionControl(grpc.ServerInterceptor):
    """Refuses a call of our service with RESOURCE_EXHAUSTED while its pool is full."""

    def __init__(self, pools: dict[str, CallPool], counts: Mapping[str, CountCode]):
        """`pools`, `counts`: by full method name; calls of other methods are admitted."""
        self._pools, self._counts = pools, counts
        self._refusals = {method: refusing(full(pool)) for method, pool in pools.items()}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        pool = self._pools.get(details.method)
        if pool is None or not pool.full:
            return continuation(details)
        self._counts[details.method](grpc.StatusCode.RESOURCE_EXHAUSTED)
        return self._refusals[details.method]


def full(pool: CallPool) -> NotReady:
    """The refusal of a call while the pool is full."""
    return NotReady(
        f"full: this worker holds {pool.capacity} calls already, its limit",
        hint="retry later or elsewhere; serving.max_concurrent and serving.workers set the limit",
        reason="overloaded",
    )
