"""How much a worker takes on: refusing at once what it could only let wait (serving/concurrency.py).

    Pool           threads that count what is in flight; one of these for calls, one for streams
    LimitCalls     an interceptor that refuses a call when its pool is full: on arrival, by the
                   thread that took the call, so a refusal never queues behind the work
    Wall           grpcio's own limit, far outside ours, and its cheap way to refuse

Health checks and reflection have threads of their own: a full server still says that it is well.
grpcio's own limit (`maximum_concurrent_rpcs`) would refuse health checks too; it stays far outside.

A refusal tells its reason, unless calls come faster than they can be taken. Then they are refused
as grpcio itself refuses, without a reason, for two thirds of the cost: under overload most calls
end here, and what they cost is taken from those that are answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status

from impressions.core.errors import NotReady
from serving.concurrency import Door
from serving.error_status import status_of

Behaviour = Callable[..., Any]
Count = Callable[[grpc.StatusCode], None]
"""Counts one request by the code it got."""
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Pool(ThreadPoolExecutor):
    """A thread pool that knows how many calls it holds, running or queued.

    gRPC submits exactly one task per call, so a task's end is the call's end: nothing can leak.
    """

    def __init__(self, capacity: int, name: str):
        super().__init__(max_workers=capacity, thread_name_prefix=name)
        self.capacity, self._held, self._lock = capacity, 0, threading.Lock()

    @property
    def idle(self) -> bool:
        return self._held == 0

    @property
    def crowded(self) -> bool:
        return 2 * self._held >= self.capacity

    @property
    def full(self) -> bool:
        return self._held >= self.capacity

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self._held += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:  # shut down
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any] | None) -> None:
        with self._lock:
            self._held -= 1


def on_pool(pool: ThreadPoolExecutor, behaviour: Behaviour, **attributes: Any) -> Behaviour:
    """The behaviour, run by gRPC on this pool instead of the server's."""

    def call(*arguments: Any) -> Any:
        return behaviour(*arguments)

    call.__dict__.update(experimental_thread_pool=pool, **attributes)
    return call


class AtOnce(ThreadPoolExecutor):
    """Runs a task where it is submitted, on gRPC's own thread: for what never waits."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


_AT_ONCE = AtOnce(1)


def refusing(error: Exception) -> Handler:
    """A handler for any method that answers with the error's status and reads no request: one
    message to gRPC, sent by the thread that took the call."""
    status = rpc_status.to_status(status_of(error))

    def refuse(_: Any, context: grpc.ServicerContext, send: Callable[[None], None]) -> None:
        end_with(status, context, send)

    behaviour = on_pool(_AT_ONCE, refuse, experimental_non_blocking=True)
    return grpc.stream_stream_rpc_method_handler(behaviour)


def end_with(
    status: grpc.Status, context: grpc.ServicerContext, send: Callable[[None], object]
) -> None:
    """End a call of a handler that sends for itself with this status."""
    context.set_code(status.code)
    context.set_details(status.details)
    context.set_trailing_metadata(status.trailing_metadata)
    send(None)


class Wall(int):
    """A `maximum_concurrent_rpcs` that can be made to hold for the call that is just being taken.

    grpcio compares with it, then looks for the handler, which runs `LimitCalls`, and only then asks
    whether the comparison was true; all in the thread that takes calls. Should it ever ask earlier,
    nothing is lost but time: the handler that `LimitCalls` has chosen refuses as well.
    """

    _exceeded = False

    def __le__(self, active: int) -> Wall:  # type: ignore[override, misc]
        self._exceeded = active >= int(self)
        return self

    def __bool__(self) -> bool:
        return self._exceeded

    def refuse(self) -> None:
        """Refuse the call that is just being taken."""
        self._exceeded = True


class LimitCalls(grpc.ServerInterceptor):
    """Refuses a call of our service with RESOURCE_EXHAUSTED while its pool is full."""

    def __init__(self, pools: dict[str, Pool], door: Door, wall: Wall, counts: Mapping[str, Count]):
        """`pools`, `counts`: by full method name; other methods are let through."""
        self._pools, self._door, self._wall, self._counts = pools, door, wall, counts
        self._refusals = {method: _full(pool) for method, pool in pools.items()}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        pool = self._pools.get(details.method)
        if pool is None:
            return continuation(details)
        if pool.crowded:
            self._door.arrived()
        if pool.full:
            self._counts[details.method](grpc.StatusCode.RESOURCE_EXHAUSTED)
            if self._door.flooded:
                self._wall.refuse()
            return self._refusals[details.method]
        return continuation(details)


def _full(pool: Pool) -> Handler:
    error = NotReady(
        f"full: this worker holds {pool.capacity} calls already, its limit",
        hint="retry later or elsewhere; serving.max_concurrent and serving.workers set the limit",
        reason="overloaded",
    )
    return refusing(error)
