"""One server process: built by `create_server`, run by `run`.

    create_server(settings)      everything wired and bound, nothing started; knows its port
    Server.start / stop          start answering; stop in the order below
    run(settings, stopping)      start, wait until `stopping` is set, stop; used by main and tests

Stopping loses no request of a client that retries:

    1. health reports NOT_SERVING       balancers and health-checking clients choose another server
    2. a short drain                    calls still arrive and are answered
    3. idle streams end (UNAVAILABLE)   their callers connect to another server
    4. gRPC stops                       no new calls; those under way have `grace_s` to end
    5. the store is closed
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from impressions.clock import Clock, now_ms
from impressions.core.errors import Refused, SettingsError
from impressions.settings.model import Settings
from impressions.settings.sections import Serving
from impressions.terminal import log
from impressions.v1 import impressions_service_pb2 as pb
from serving import calls, connections
from serving.acceptor import AcceptorPriority
from serving.admission import AdmissionControl, RpcLimit
from serving.auth import RequireToken, read_tokens, server_credentials
from serving.call_pool import CallPool
from serving.child_processes import Pids, registered
from serving.concurrency import ConcurrencyLimit
from serving.generation_switch import GenerationSwitch
from serving.health import HEALTH_SERVICE, SERVICE, Health
from serving.live_deltas import LiveDeltas, is_configured
from serving.metrics import CountCode, ServerMetrics
from serving.open_streams import OpenStreams
from serving.reads import DeltasOf, Reader, no_deltas
from serving.refusal import Handler
from serving.self_report import SelfReport, self_report
from serving.service import ImpressionsService
from serving.shared_port import port_taken, reserve
from serving.unread_answers import UnreadAnswers

Counts = Mapping[str, CountCode]

DRAIN_S = 0.5
_POLL_S = 0.05
_HEALTH_THREADS, _REFLECTION_THREADS = 4, 4
_QUEUED_CALLS = 256  # that gRPC holds until they are accepted; soon above that it cancels calls
_RPC_LIMIT_FACTOR = 4  # grpcio's own limit, in multiples of ours: it would refuse health checks too


class Server:
    """A bound server.

    Attributes:
        port: the one it listens on, also when it was asked for port 0.
        health: its health service.
    """

    def __init__(
        self,
        server: grpc.Server,
        port: int,
        generations: GenerationSwitch,
        health: Health,
        live: LiveDeltas | None,
        metrics: ServerMetrics,
        streams: OpenStreams,
        pools: tuple[CallPool, CallPool],
        settings: Settings,
    ):
        self.port, self.generations, self.live, self.metrics = port, generations, live, metrics
        self._server, self.health = server, health
        self._streams, self._pools = streams, pools
        self._grace_s = settings.serving.grace_s
        self.address = f"{settings.serving.listen.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Open the active generation and the live stream, then answer; if there is neither, calls
        get UNAVAILABLE."""
        self.generations.start()
        if self.live is not None:
            self.live.start()
            self.health.listening()
        self._server.start()

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Stop in the order of the module's docstring; returns when everything has ended."""
        self.health.stopping()
        threading.Event().wait(min(drain_s, self._grace_s))
        self._streams.end()
        stopped = self._server.stop(self._grace_s)
        # Only our calls get the grace period: a call that watches the health never ends.
        while not stopped.wait(_POLL_S) and not all(pool.idle for pool in self._pools):
            pass
        self._server.stop(None)
        self.generations.stop()
        if self.live is not None:
            self.live.stop()


def create_server(
    settings: Settings,
    *,
    clock: Clock = now_ms,
    deltas_of: DeltasOf | None = None,
    share_port: bool = False,
) -> Server:
    """Wire and bind a server.

    Args:
        clock: what "now" is for requests that name no time.
        deltas_of: the live half; by default this host's copy, if a stream is configured.
        share_port: let other processes of this user listen on the same port
            (serving/worker_processes.py).

    Raises:
        Refused: the port is taken.
        SettingsError: a token file, key or certificate cannot be read.
    """
    serving = settings.serving
    spare = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
    live = _live(settings) if deltas_of is None else None
    health, streams, metrics = Health(spare, live=live is not None), OpenStreams(), ServerMetrics()
    generations = GenerationSwitch(
        settings, on_change=lambda _: health.loaded(), optional=live is not None
    )

    def report() -> SelfReport:
        return self_report(settings, generations.current, live.state if live else None, clock())

    metrics.describe(report, (lambda: live.staleness_s) if live else None)
    if live is not None:
        live.on_refresh = lambda: health.stream(fresh=report().is_fresh)
    reader = Reader(settings, deltas_of or live or no_deltas, metrics)
    service = ImpressionsService(settings, generations, clock, reader, report)
    counts = {name: metrics.counter_of(name.rpartition("/")[2]) for name in METHODS}
    acceptor = AcceptorPriority()
    rpc_limit = RpcLimit(_RPC_LIMIT_FACTOR * serving.max_concurrent + 1_000)
    pools = (CallPool(serving.max_concurrent, "call"), CallPool(serving.max_concurrent, "stream"))
    server = grpc.server(
        ThreadPoolExecutor(_REFLECTION_THREADS),  # for methods that have no pool of their own
        handlers=[health.handlers()],
        interceptors=_interceptors(serving, acceptor, rpc_limit, counts, *pools),
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
    methods = method_handlers(service, serving, streams, acceptor, counts, *pools)
    server.add_registered_method_handlers(SERVICE, methods)
    reflection.enable_server_reflection((SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    port = _bind(server, serving)
    return Server(server, port, generations, health, live, metrics, streams, pools, settings)


def run(
    settings: Settings,
    stopping: threading.Event,
    on_ready: Callable[[Server], None],
    *,
    children: Pids = dict,
    kind: str = "serve",
    share_port: bool = False,
) -> None:
    """Serve until `stopping` is set; `children` are shown at its /metrics."""
    server = create_server(settings, share_port=share_port)
    registry = server.metrics.registry
    with registered(settings, kind, server.address, registry, children) as metrics_address:
        server.start()
        generation = server.generations.current
        log.info(
            "started",
            address=server.address,
            generation=generation.name if generation else "none",
            metrics=metrics_address,
        )
        on_ready(server)
        stopping.wait()
        log.info("stopping", address=server.address)
        server.stop()
    log.info("stopped", address=server.address)


def method_handlers(
    service: ImpressionsService,
    serving: Serving,
    streams: OpenStreams,
    acceptor: AcceptorPriority,
    counts: Counts,
    unary: CallPool,
    stream: CallPool,
) -> dict[str, Handler]:
    """The methods of our service by name, each on its pool."""
    limit, unread = ConcurrencyLimit(serving.threads, acceptor), UnreadAnswers()

    def one(name: str, method: Callable[..., Any], request: type[Any]) -> Handler:
        return calls.unary(method, request, unary, limit, acceptor, unread, counts[_full(name)])

    return {
        "GetProfile": one("GetProfile", service.get_profile, pb.GetProfileRequest),
        "BatchGetProfiles": one(
            "BatchGetProfiles", service.batch_get_profiles, pb.BatchGetProfilesRequest
        ),
        "StreamProfiles": calls.stream(
            service.stream_profile,
            pb.StreamProfilesRequest,
            service.refused,
            stream,
            limit,
            acceptor,
            counts[_full("StreamProfiles")],
            streams,
        ),
        "Describe": one("Describe", service.describe, pb.DescribeRequest),
    }


def _full(method: str) -> str:
    return f"/{SERVICE}/{method}"


METHODS = tuple(
    _full(method.name) for method in pb.DESCRIPTOR.services_by_name["ImpressionsService"].methods
)


def _interceptors(
    serving: Serving,
    acceptor: AcceptorPriority,
    rpc_limit: RpcLimit,
    counts: Counts,
    unary: CallPool,
    stream: CallPool,
) -> list[grpc.ServerInterceptor]:
    pool_of = {name: stream if name == _full("StreamProfiles") else unary for name in METHODS}
    # Tokens first: a call without a token takes no capacity.
    interceptors: list[grpc.ServerInterceptor] = [
        AdmissionControl(pool_of, acceptor, rpc_limit, counts)
    ]
    if serving.token_file is not None:
        interceptors.insert(0, RequireToken(read_tokens(serving.token_file), counts))
    return interceptors


def _live(settings: Settings) -> LiveDeltas | None:
    return LiveDeltas(settings) if is_configured(settings) else None


def _bind(server: grpc.Server, serving: Serving) -> int:
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


def _is_free(listen: str) -> bool:
    try:
        reserve(listen).close()
    except Refused:
        return False
    return True
