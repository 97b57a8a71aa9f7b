"""Health per concern, as `grpc.health.v1`.

    ""                                  ready: send me calls
    impressions.v1.ImpressionsService   the same
    impressions.batch                   a generation is loaded
    impressions.speed                   the live stream is fresh; UNKNOWN while none is configured

UNKNOWN rather than NOT_SERVING for the stream: an alert on NOT_SERVING must not fire on a host that
was never given one. A damaged pointer or a missing newer generation changes no health: the old
generation still answers. Health answers without a token and while the server is full.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2

from serving.limits import on_pool

READY = ""
SERVICE = "impressions.v1.ImpressionsService"
BATCH = "impressions.batch"
SPEED = "impressions.speed"
HEALTH_SERVICE = "grpc.health.v1.Health"

_Status = health_pb2.HealthCheckResponse


class Health:
    """The health service of one server."""

    def __init__(self, pool: ThreadPoolExecutor):
        self._servicer = health.HealthServicer()
        self._pool = pool
        for name in (READY, SERVICE, BATCH):
            self._servicer.set(name, _Status.NOT_SERVING)
        self._servicer.set(SPEED, _Status.UNKNOWN)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The health service on threads of its own."""
        watch = on_pool(self._pool, self._servicer.Watch, experimental_non_blocking=True)
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

    def stopping(self) -> None:
        """NOT_SERVING for everything, for good."""
        self._servicer.enter_graceful_shutdown()
