"""The gRPC server of our service: its handlers, interceptors, channel options and port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from impressions.core.errors import Refused, SettingsError
from impressions.settings.sections import Serving
from impressions.v1 import impressions_service_pb2 as pb
from serving import calls, connections
from serving.admission import AdmissionControl, RpcLimit
from serving.auth import RequireToken, read_tokens, server_credentials
from serving.call_limits import CallLimits
from serving.health import HEALTH_SERVICE, SERVICE, Health
from serving.metrics import CountCode
from serving.open_streams import OpenStreams
from serving.refusal import Handler
from serving.service import ImpressionsService
from serving.shared_port import port_taken, reserve

Counts = Mapping[str, CountCode]
"""For each full method name, the function that counts its calls."""

_REFLECTION_THREADS = 4
_QUEUED_CALLS = 256  # that gRPC holds until they are accepted; soon above that it cancels calls
_RPC_LIMIT_FACTOR = 4  # grpcio's own limit, in multiples of ours: it would refuse health checks too


def grpc_server(
    serving: Serving,
    service: ImpressionsService,
    health: Health,
    streams: OpenStreams,
    limits: CallLimits,
    counts: Counts,
    *,
    share_port: bool,
) -> grpc.Server:
    """A server with our service, health and reflection; not bound to a port yet."""
    rpc_limit = RpcLimit(_RPC_LIMIT_FACTOR * serving.max_concurrent + 1_000)
    server = grpc.server(
        ThreadPoolExecutor(_REFLECTION_THREADS),  # for methods that have no pool of their own
        handlers=[health.handlers()],
        interceptors=_interceptors(serving, limits, rpc_limit, counts),
        options=[
            ("grpc.so_reuseport", int(share_port)),
            ("grpc.max_receive_message_length", int(serving.max_request_bytes)),
            ("grpc.server.max_pending_requests", _QUEUED_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", 2 * _QUEUED_CALLS),
            *connections.options(serving),
        ],
        maximum_concurrent_rpcs=rpc_limit,
    )
    # A registered method has a queue of its own: a flood of calls does not delay health checks.
    methods = _method_handlers(service, limits, streams, counts)
    server.add_registered_method_handlers(SERVICE, methods)
    reflection.enable_server_reflection((SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    return server


def bind(server: grpc.Server, serving: Serving) -> int:
    """Bind the server to `serving.listen`; returns the port.

    Raises:
        Refused: the port is taken.
        SettingsError: the key or certificate cannot be used.
    """
    credentials = server_credentials(serving)
    try:
        if credentials is None:
            return server.add_insecure_port(serving.listen)
        return server.add_secure_port(serving.listen, credentials)
    except RuntimeError:
        if credentials is not None and _is_free(serving.listen):
            raise SettingsError(
                f"serving.tls_cert {serving.tls_cert}, serving.tls_key {serving.tls_key}: "
                "not a PEM certificate chain and its private key"
            ) from None
        raise port_taken(serving.listen) from None


def _full(method: str) -> str:
    return f"/{SERVICE}/{method}"


METHODS = tuple(
    _full(method.name) for method in pb.DESCRIPTOR.services_by_name["ImpressionsService"].methods
)
"""The full names of the methods of our service."""


def _method_handlers(
    service: ImpressionsService, limits: CallLimits, streams: OpenStreams, counts: Counts
) -> dict[str, Handler]:
    """The methods of our service by name, each on its pool."""

    def unary(name: str, method: Callable[..., Any], request: type[Any]) -> Handler:
        return calls.unary(method, request, limits, counts[_full(name)])

    return {
        "GetProfile": unary("GetProfile", service.get_profile, pb.GetProfileRequest),
        "BatchGetProfiles": unary(
            "BatchGetProfiles", service.batch_get_profiles, pb.BatchGetProfilesRequest
        ),
        "StreamProfiles": calls.stream(
            service.stream_profile,
            pb.StreamProfilesRequest,
            service.refused,
            limits,
            counts[_full("StreamProfiles")],
            streams,
        ),
        "Describe": unary("Describe", service.describe, pb.DescribeRequest),
    }


def _interceptors(
    serving: Serving, limits: CallLimits, rpc_limit: RpcLimit, counts: Counts
) -> list[grpc.ServerInterceptor]:
    stream = _full("StreamProfiles")
    pools = {name: limits.streams if name == stream else limits.calls for name in METHODS}
    # Tokens first: a call without a token takes no capacity.
    interceptors: list[grpc.ServerInterceptor] = [
        AdmissionControl(pools, limits.acceptor, rpc_limit, counts)
    ]
    if serving.token_file is not None:
        interceptors.insert(0, RequireToken(read_tokens(serving.token_file), counts))
    return interceptors


def _is_free(listen: str) -> bool:
    try:
        reserve(listen).close()
    except Refused:
        return False
    return True
