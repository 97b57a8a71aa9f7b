"""Health per concern, as `grpc.health.v1`.

    ""                                  ready: calls are answered
    impressions.v1.ImpressionsService   the same
    impressions.batch                   a generation is loaded
    impressions.speed                   the live stream is fresh; UNKNOWN while none is configured

If a stream is configured, a server is ready without a generation: it answers from the stream alone.

Without a stream its health is UNKNOWN, not NOT_SERVING: an alert on NOT_SERVING must not fire on a
host for which no stream is configured. A damaged pointer or a missing newer generation does not
change the health, because the old generation still answers. Health checks need no token, and they
are answered while the server is full.

One thread that holds no lock sends to the watchers. grpcio's servicer itself sends while it holds
its lock, and waits for gRPC's thread; if a watcher leaves at that moment, that thread waits for the
same lock, and the server never stops (https://github.com/grpc/grpc/pull/43403).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_status import rpc_status

from impressions.core.errors import NotReady
from serving.call_pool import on_pool
from serving.connections import Watchers
from serving.error_status import status_of
from serving.refusal import end_with

READY = ""
SERVICE = "impressions.v1.ImpressionsService"
BATCH = "impressions.batch"
SPEED = "impressions.speed"
HEALTH_SERVICE = "grpc.health.v1.Health"

_Status = health_pb2.HealthCheckResponse


class Health:
    """The health service of one server."""

    def __init__(self, pool: ThreadPoolExecutor, *, live: bool = False):
        """`live`: a stream is configured."""
        self._servicer = health.HealthServicer()
        self._pool, self._watchers = pool, Watchers()
        self._notifier = ThreadPoolExecutor(1, thread_name_prefix="health-watch")
        for name in (READY, SERVICE, BATCH):
            self._servicer.set(name, _Status.NOT_SERVING)
        self._servicer.set(SPEED, _Status.NOT_SERVING if live else _Status.UNKNOWN)
        self._fresh = False

    def handlers(self) -> grpc.GenericRpcHandler:
        """The health service on threads of its own."""
        watch = on_pool(self._pool, self._watch, experimental_non_blocking=True)
        return grpc.method_handlers_generic_handler(
            HEALTH_SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    on_pool(self._pool, self._servicer.Check),
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=_Status.SerializeToString,
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    watch,
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=_Status.SerializeToString,
                ),
            },
        )

    def loaded(self) -> None:
        """A generation is loaded: ready."""
        for name in (READY, SERVICE, BATCH):
            self._servicer.set(name, _Status.SERVING)

    def listening(self) -> None:
        """The stream can be read: ready, whether or not a generation is loaded."""
        for name in (READY, SERVICE):
            self._servicer.set(name, _Status.SERVING)

    def stream(self, *, fresh: bool) -> None:
        """Set whether the live stream is fresh; only one thread may call this."""
        if fresh != self._fresh:
            self._fresh = fresh
            self._servicer.set(SPEED, _Status.SERVING if fresh else _Status.NOT_SERVING)

    def _watch(self, request: Any, context: grpc.ServicerContext, send: Callable[..., None]) -> Any:
        """`Watch`; a thread that does not hold the servicer's lock sends the answers, in order."""
        try:
            self._watchers.enter(context)
        except NotReady as error:
            return end_with(rpc_status.to_status(status_of(error)), context, send)
        return self._servicer.Watch(request, context, lambda r: self._notifier.submit(send, r))

    def stopping(self) -> None:
        """NOT_SERVING for everything, until the process ends."""
        self._servicer.enter_graceful_shutdown()
