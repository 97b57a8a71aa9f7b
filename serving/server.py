"""One server process: built by `create_server`, run by `run`.

    create_server(settings)      everything wired and bound, nothing started; knows its port
    Server.start / stop          start answering; stop in the order below
    run(settings, stopping)      start, wait until `stopping` is set, stop; used by main and tests

Stopping loses no request of a client that retries:

    1. health says NOT_SERVING          balancers and health-checking clients look elsewhere
    2. a short drain                    calls still arrive and are answered
    3. idle streams end (UNAVAILABLE)   their callers reconnect elsewhere
    4. gRPC stops                       no new calls; those under way have `grace_s` to end
    5. the store is closed
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_reflection.v1alpha import reflection

from impressions.clock import Clock, now_ms
from impressions.errors import Refused, SettingsError
from impressions.shell import log
from impressions.shell.settings import Serving, Settings
from impressions.v1 import impressions_service_pb2 as pb
from serving import calls
from serving.auth import RequireToken, read_tokens, server_credentials
from serving.generations import Generations
from serving.health import HEALTH_SERVICE, SERVICE, Health
from serving.limits import LimitCalls, Pool, Work
from serving.port import port_taken, reserve
from serving.reads import DeltasOf, no_deltas
from serving.service import ImpressionsService
from serving.streams import OpenStreams

DRAIN_S = 0.5
_LOOK_S = 0.05
_HEALTH_THREADS, _REFLECTION_THREADS = 4, 4
_OUTER_WALL = 4  # grpcio's own limit, in multiples of ours: it would refuse health checks too


class Server:
    """A bound server.

    Attributes:
        port: the one it listens on, also when it was asked for port 0.
        health: what it says of itself.
    """

    def __init__(
        self,
        server: grpc.Server,
        port: int,
        generations: Generations,
        health: Health,
        streams: OpenStreams,
        pools: tuple[Pool, Pool],
        settings: Settings,
    ):
        self.port, self.generations = port, generations
        self._server, self.health = server, health
        self._streams, self._pools = streams, pools
        self._grace_s = settings.serving.grace_s
        self.address = f"{settings.serving.listen.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Look for a generation, then answer; without one calls get UNAVAILABLE."""
        self.generations.start()
        self._server.start()

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Stop in the order of the module's docstring; returns when everything has ended."""
        self.health.stopping()
        threading.Event().wait(min(drain_s, self._grace_s))
        self._streams.end()
        stopped = self._server.stop(self._grace_s)
        # Only our calls are worth the grace: whoever watches health would use it up every time.
        while not stopped.wait(_LOOK_S) and not all(pool.idle for pool in self._pools):
            pass
        self._server.stop(None)
        self.generations.stop()


def create_server(
    settings: Settings,
    *,
    clock: Clock = now_ms,
    deltas_of: DeltasOf = no_deltas,
    share_port: bool = False,
) -> Server:
    """Wire and bind a server.

    Args:
        clock: what "now" is for requests that name no time.
        deltas_of: the live half; none by default.
        share_port: let other processes of this user listen on the same port (serving/workers.py).

    Raises:
        Refused: the port is taken.
        SettingsError: a token file, key or certificate cannot be read.
    """
    serving = settings.serving
    spare = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
    health, streams = Health(spare), OpenStreams()
    generations = Generations(settings, on_change=lambda _: health.loaded())
    service = ImpressionsService(settings, generations, clock, deltas_of)
    pools = (Pool(serving.max_concurrent, "call"), Pool(serving.max_concurrent, "stream"))
    server = grpc.server(
        ThreadPoolExecutor(_REFLECTION_THREADS),  # whatever has no pool of its own
        handlers=[health.handlers(), service_handlers(service, serving, streams, *pools)],
        interceptors=_interceptors(serving, spare, *pools),
        options=[
            ("grpc.so_reuseport", int(share_port)),
            ("grpc.max_receive_message_length", int(serving.max_request_bytes)),
        ],
        maximum_concurrent_rpcs=_OUTER_WALL * serving.max_concurrent + 1_000,
    )
    reflection.enable_server_reflection((SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    port = _bind(server, serving)
    return Server(server, port, generations, health, streams, pools, settings)


def run(
    settings: Settings,
    stopping: threading.Event,
    on_ready: Callable[[Server], None],
    *,
    share_port: bool = False,
) -> None:
    """Serve until `stopping` is set."""
    server = create_server(settings, share_port=share_port)
    server.start()
    generation = server.generations.current
    log.info(
        "started", address=server.address, generation=generation.name if generation else "none"
    )
    on_ready(server)
    stopping.wait()
    log.info("stopping", address=server.address)
    server.stop()
    log.info("stopped", address=server.address)


def service_handlers(
    service: ImpressionsService, serving: Serving, streams: OpenStreams, unary: Pool, stream: Pool
) -> grpc.GenericRpcHandler:
    """Our service, each method on its pool."""
    work = Work(serving.threads)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "GetProfile": calls.unary(service.get_profile, pb.GetProfileRequest, unary, work),
            "BatchGetProfiles": calls.unary(
                service.batch_get_profiles, pb.BatchGetProfilesRequest, unary, work
            ),
            "StreamProfiles": calls.stream(
                service.stream_profile,
                pb.StreamProfilesRequest,
                service.refused,
                stream,
                work,
                streams,
            ),
            "Describe": calls.unary(service.describe, pb.DescribeRequest, unary, work),
        },
    )


def _interceptors(
    serving: Serving, spare: ThreadPoolExecutor, unary: Pool, stream: Pool
) -> list[grpc.ServerInterceptor]:
    pool_of = {
        f"/{SERVICE}/{method.name}": stream if method.name == "StreamProfiles" else unary
        for method in pb.DESCRIPTOR.services_by_name["ImpressionsService"].methods
    }
    # Tokens first: who may not call takes no place either.
    interceptors: list[grpc.ServerInterceptor] = [LimitCalls(pool_of, spare)]
    if serving.token_file is not None:
        interceptors.insert(0, RequireToken(read_tokens(serving.token_file), spare))
    return interceptors


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
