"""Health per concern, as `grpc.health.v1`.

    ""                                  ready: send me calls
    impressions.v1.ImpressionsService   the same
    impressions.batch                   a generation is loaded
    impressions.speed                   the live stream is fresh; UNKNOWN while none is configured

Where a stream is configured, a server is ready without a generation: the stream answers alone.

UNKNOWN rather than NOT_SERVING for the stream: an alert on NOT_SERVING must not fire on a host that
was never given one. A damaged pointer or a missing newer generation changes no health: the old
generation still answers. Health answers without a token and while the server is full.

Watchers are notified by one thread that holds no lock; grpcio's servicer sends while it holds its
own, and waits for gRPC's thread, which waits for that lock when a watcher leaves at that moment:
the server would never stop (https://github.com/grpc/grpc/pull/43403).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_status import rpc_status

from impressions.core.errors import NotReady
from serving.admission import end_with, on_pool
from serving.connections import Watchers
from serving.error_status import status_of

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
        self._teller = ThreadPoolExecutor(1, thread_name_prefix="health-watch")
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
        """The stream can be answered from: ready, whether or not a generation is loaded."""
        for name in (READY, SERVICE):
            self._servicer.set(name, _Status.SERVING)

    def stream(self, *, fresh: bool) -> None:
        """Whether the live stream is fresh; for one thread."""
        if fresh != self._fresh:
            self._fresh = fresh
            self._servicer.set(SPEED, _Status.SERVING if fresh else _Status.NOT_SERVING)

    def _watch(self, request: Any, context: grpc.ServicerContext, send: Callable[..., None]) -> Any:
        """Watch, with answers sent in order by a thread without the servicer's lock."""
        try:
            self._watchers.enter(context)
        except NotReady as error:
            return end_with(rpc_status.to_status(status_of(error)), context, send)
        return self._servicer.Watch(request, context, lambda r: self._teller.submit(send, r))

    def stopping(self) -> None:
        """NOT_SERVING for everything, for good."""
        self._servicer.enter_graceful_shutdown()
