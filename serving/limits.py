"""How much a worker takes on: refusing at once what it could only let wait.

    Pool           threads that count what is in flight; one of these for calls, one for streams
    LimitCalls     an interceptor that refuses a call when its pool is full. It runs on arrival and
                   answers from threads of its own, so a refusal never queues behind the work
    Work           how many requests are computed on at the same time; the others in flight wait
                   for a turn, no longer than their deadline
    Deadline       asked between keys: stops work that nobody waits for any more

Health checks and reflection have threads of their own: a full server still says that it is well.
grpcio's own limit (`maximum_concurrent_rpcs`) would refuse health checks too; it stays far outside.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status

from impressions.errors import NotReady
from serving.status import status_of

_LONGEST_WAIT_S = 3600.0

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


def refusing(error: Exception, pool: ThreadPoolExecutor) -> Handler:
    """A handler for any method that answers with the error's status and reads no request."""
    status = rpc_status.to_status(status_of(error))

    def abort(_: Any, context: grpc.ServicerContext) -> None:
        context.abort_with_status(status)

    return grpc.stream_stream_rpc_method_handler(on_pool(pool, abort))


class LimitCalls(grpc.ServerInterceptor):
    """Refuses a call of our service with RESOURCE_EXHAUSTED while its pool is full."""

    def __init__(
        self, pools: dict[str, Pool], refusals: ThreadPoolExecutor, counts: Mapping[str, Count]
    ):
        """`pools`, `counts`: by full method name; other methods are let through."""
        self._pools, self._counts = pools, counts
        self._refusals = {method: _full(pool, refusals) for method, pool in pools.items()}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        pool = self._pools.get(details.method)
        if pool is not None and pool.full:
            self._counts[details.method](grpc.StatusCode.RESOURCE_EXHAUSTED)
            return self._refusals[details.method]
        return continuation(details)


def _full(pool: Pool, refusals: ThreadPoolExecutor) -> Handler:
    error = NotReady(
        f"full: this worker holds {pool.capacity} calls already, its limit",
        hint="retry later or elsewhere; serving.max_concurrent and serving.workers set the limit",
        reason="overloaded",
    )
    return refusing(error, refusals)


class Deadline:
    """Whether somebody still waits for an answer."""

    def __init__(self, context: grpc.ServicerContext):
        self._context = context

    def remaining_s(self) -> float:
        """Seconds until the deadline; an hour where there is none."""
        remaining = self._context.time_remaining()
        return _LONGEST_WAIT_S if remaining is None else min(remaining, _LONGEST_WAIT_S)

    def check(self) -> None:
        """Raises NotReady, reason `deadline_exceeded` or `cancelled`, when the caller is gone."""
        if self.remaining_s() <= 0:
            raise NotReady("the deadline of the call has passed", reason="deadline_exceeded")
        if not self._context.is_active():
            raise NotReady("the caller has cancelled", reason="cancelled")


class Work:
    """Turns to compute: at most `threads` at the same time."""

    def __init__(self, threads: int):
        self._turns = threading.BoundedSemaphore(threads)

    @contextlib.contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn, no longer than the deadline."""
        while not self._turns.acquire(timeout=max(0.0, deadline.remaining_s())):
            deadline.check()
        try:
            deadline.check()
            yield
        finally:
            self._turns.release()
