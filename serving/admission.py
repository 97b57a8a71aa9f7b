"""Admission control: a call is refused on arrival if the pool of its method is full.

    AdmissionControl   the interceptor that decides; it runs in the thread that accepts calls, so a
                       refusal never waits for the computing (serving/concurrency.py)
    RpcLimit           grpcio's own limit of calls, far above ours, used for its cheap refusal

Calls of other services (health checks, reflection) are always admitted. grpcio's own limit
(`maximum_concurrent_rpcs`) would refuse health checks too, so it is a multiple of ours.

A refusal carries its reason, except when calls arrive faster than they can be accepted. Then they
are refused as grpcio itself refuses, without a reason, for two thirds of the cost: under overload
most calls end here, and their cost is taken from the calls that are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc

from impressions.core.errors import NotReady
from serving.acceptor import AcceptorPriority
from serving.call_pool import CallPool
from serving.metrics import CountCode
from serving.refusal import Handler, refusing


class RpcLimit(int):
    """A `maximum_concurrent_rpcs` that can be exceeded on demand, for the call being accepted.

    grpcio compares the number of active calls with it, then asks for the handler, which runs
    `AdmissionControl`, and only then reads the result of the comparison; all of it in the thread
    that accepts calls. If a later grpcio reads the result earlier, only time is lost: the handler
    that `AdmissionControl` has chosen refuses as well.
    """

    _exceeded = False

    def __le__(self, active: int) -> RpcLimit:  # type: ignore[override, misc]
        self._exceeded = active >= int(self)
        return self

    def __bool__(self) -> bool:
        return self._exceeded

    def refuse(self) -> None:
        """Refuse the call that is being accepted."""
        self._exceeded = True


class AdmissionControl(grpc.ServerInterceptor):
    """Refuses a call of our service with RESOURCE_EXHAUSTED while its pool is full."""

    def __init__(
        self,
        pools: dict[str, CallPool],
        acceptor: AcceptorPriority,
        rpc_limit: RpcLimit,
        counts: Mapping[str, CountCode],
    ):
        """`pools`, `counts`: by full method name; calls of other methods are admitted."""
        self._pools, self._acceptor = pools, acceptor
        self._rpc_limit, self._counts = rpc_limit, counts
        self._refusals = {method: _full(pool) for method, pool in pools.items()}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        pool = self._pools.get(details.method)
        if pool is None:
            return continuation(details)
        if pool.half_full:
            self._acceptor.call_arrived()
        if pool.full:
            self._counts[details.method](grpc.StatusCode.RESOURCE_EXHAUSTED)
            if self._acceptor.flooded:
                self._rpc_limit.refuse()
            return self._refusals[details.method]
        return continuation(details)


def _full(pool: CallPool) -> Handler:
    error = NotReady(
        f"full: this worker holds {pool.capacity} calls already, its limit",
        hint="retry later or elsewhere; serving.max_concurrent and serving.workers set the limit",
        reason="overloaded",
    )
    return refusing(error)
