"""The gRPC server of our service: its handlers, interceptors, channel options and port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from impressions.core.errors import Refused, SettingsError
from impressions.settings.sections.live import Serving
from impressions.v1 import impressions_service_pb2 as pb
from serving import calls, connections
from serving.admission import AdmissionControl
from serving.auth import RequireToken, Tokens, server_credentials
from serving.call_limits import CallLimits
from serving.calls import CompiledForm, Respond
from serving.health import HEALTH_SERVICE, SERVICE, Health
from serving.lost_calls import LostCalls
from serving.metrics import CountCode
from serving.open_streams import OpenStreams
from serving.service import ImpressionsService
from serving.shared_port import port_taken, reserve

Counts = Mapping[str, CountCode]
"""For each full method name, the function that counts its calls."""

CompiledForms = Mapping[str, CompiledForm]
"""By the name of the method; those that are not in it have none."""
Responds = Mapping[str, Respond]
"""The methods with one request and one response, by name."""

_REFLECTION_THREADS = 4
QUEUED_CALLS, MOST_QUEUED_CALLS = 512, 640
"""Calls that gRPC holds until a thread takes them: above the first number it cancels some, above
the second each (docs/decisions/0048)."""


def grpc_server(
    serving: Serving,
    service: ImpressionsService,
    health: Health,
    streams: OpenStreams,
    limits: CallLimits,
    counts: Counts,
    responds: Responds,
    tokens: Tokens | None,
    lost: LostCalls,
    *,
    share_port: bool,
) -> grpc.Server:
    """A server with our service, health and reflection; not bound to a port yet.

    Args:
        responds: the methods that it takes besides StreamProfiles.
        lost: counts the calls that it takes.
    """
    server = grpc.server(
        ThreadPoolExecutor(_REFLECTION_THREADS),  # for methods that have no pool of their own
        handlers=[health.handlers()],
        interceptors=[lost, *_interceptors(tokens, limits, counts)],
        options=[
            ("grpc.so_reuseport", int(share_port)),
            ("grpc.max_receive_message_length", int(serving.max_request_bytes)),
            ("grpc.server.max_pending_requests", QUEUED_CALLS),
            ("grpc.enable_channelz", 1),  # counts calls (serving/lost_calls.py)
            ("grpc.server.max_pending_requests_hard_limit", MOST_QUEUED_CALLS),
            *connections.options(serving),
        ],
    )
    # A registered method has a queue of its own: a flood of calls does not delay health checks.
    methods = {name: calls.unary(respond, limits.calls) for name, respond in responds.items()}
    methods["StreamProfiles"] = calls.stream(
        service.stream_profile,
        pb.StreamProfilesRequest,
        service.refused,
        limits,
        counts[full_name("StreamProfiles")],
        streams,
    )
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


def full_name(method: str) -> str:
    """The full name of a method of our service."""
    return f"/{SERVICE}/{method}"


METHODS = tuple(
    full_name(method.name)
    for method in pb.DESCRIPTOR.services_by_name["ImpressionsService"].methods
)
"""The full names of the methods of our service."""


def responds_of(
    service: ImpressionsService, limits: CallLimits, counts: Counts, compiled: CompiledForms
) -> Responds:
    """The methods of the service that have one request and one response."""

    def respond(name: str, method: Callable[..., Any], request: type[Any]) -> Respond:
        return calls.answering(method, request, limits, counts[full_name(name)], compiled.get(name))

    return {
        "GetProfile": respond("GetProfile", service.get_profile, pb.GetProfileRequest),
        "BatchGetProfiles": respond(
            "BatchGetProfiles", service.batch_get_profiles, pb.BatchGetProfilesRequest
        ),
        "Describe": respond("Describe", service.describe, pb.DescribeRequest),
    }


def _interceptors(
    tokens: Tokens | None, limits: CallLimits, counts: Counts
) -> list[grpc.ServerInterceptor]:
    stream = full_name("StreamProfiles")
    pools = {name: limits.streams if name == stream else limits.calls for name in METHODS}
    # Tokens first: a call without a token takes no capacity.
    interceptors: list[grpc.ServerInterceptor] = [AdmissionControl(pools, counts)]
    if tokens is not None:
        interceptors.insert(0, RequireToken(tokens, counts))
    return interceptors


def _is_free(listen: str) -> bool:
    try:
        reserve(listen).close()
    except Refused:
        return False
    return True
