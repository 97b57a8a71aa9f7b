"""Makes a server from the settings: creates its parts, connects them, and binds the port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from impressions.clock import Clock, now_ms
from impressions.compiled.profiles import can_answer
from impressions.settings.model import Settings
from impressions.settings.sections.live import Serving
from impressions.terminal import log
from serving.auth import Tokens, read_tokens
from serving.call_limits import CallLimits, call_limits
from serving.cold_reads import ColdReads
from serving.front import AtOnce, Front, Method, missing
from serving.generation_switch import GenerationSwitch
from serving.grpc_server import (
    METHODS,
    CompiledForms,
    Counts,
    Responds,
    bind,
    full_name,
    grpc_server,
    responds_of,
)
from serving.health import Health
from serving.live_deltas import LiveDeltas, is_configured
from serving.lost_calls import LostCalls
from serving.metrics import ServerMetrics
from serving.open_streams import OpenStreams
from serving.reads import DeltasOf, Reader, no_deltas
from serving.self_report import SelfReport, self_report
from serving.server import Server
from serving.service import ImpressionsService

if TYPE_CHECKING:
    from serving.compiled_answers import SharedAnswers

FRONT = ("GetProfile", "BatchGetProfiles")
"""The methods that the front takes."""
_HEALTH_THREADS = 4
_LARGE_REQUEST_BYTES = 64 << 10
"""Reading a request of 1 MB takes 25 ms; one of 500 titles has 4 KB."""


def create_server(
    settings: Settings,
    *,
    clock: Clock = now_ms,
    deltas_of: DeltasOf | None = None,
    share_port: bool = False,
) -> Server:
    """Wire and bind a server; it is not started.

    Args:
        clock: the time of requests that name none.
        deltas_of: the live deltas; by default this host's copy, if a stream is configured.
        share_port: let other processes of this user listen on the same port
            (serving/worker_processes.py).

    Raises:
        Refused: the port is taken.
        SettingsError: a token file, key or certificate cannot be read.
    """
    serving = settings.serving
    live = LiveDeltas(settings) if deltas_of is None and is_configured(settings) else None
    health_pool = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
    health, streams = Health(health_pool, live=live is not None), OpenStreams()
    generations = GenerationSwitch(
        settings, on_change=lambda _: health.loaded(), optional=live is not None
    )

    def report() -> SelfReport:
        return self_report(settings, generations.current, live.state if live else None, clock())

    metrics = ServerMetrics()
    metrics.describe(report, (lambda: live.staleness_s) if live else None)
    if live is not None:
        live.on_refresh = lambda: health.stream(fresh=report().is_fresh)
    reading = deltas_of or live or no_deltas
    reader = Reader(settings, reading, metrics)
    service = ImpressionsService(settings, generations, clock, reader, report)
    counts = {name: metrics.counter_of(name.rpartition("/")[2]) for name in METHODS}
    limits = call_limits(serving)
    tokens = None if serving.token_file is None else read_tokens(serving.token_file)
    cold = ColdReads()
    shared = _shared_answers(settings, generations, clock, reading, metrics, cold)
    if shared is None:
        reader.warm()  # it is what answers; else the server does it once it answers
    responds = dict(responds_of(service, limits, counts, _compiled_forms(shared)))
    of_front = {name: responds.pop(name) for name in FRONT} if _has_front(serving) else {}
    lost = LostCalls()
    server = grpc_server(
        serving, service, health, streams, limits, counts, responds, tokens, lost,
        share_port=share_port,
    )  # fmt: skip
    # Deltas from outside may wait, so the thread of the front does not ask for them.
    soon = None
    if shared is not None and deltas_of is None:
        soon = shared.new(live.at_once if live else no_deltas, waits=False).get_profile
    front = None
    if of_front:
        front = _front(server, of_front, soon, cold, counts, limits, tokens, lost)
        metrics.registry.register(lost)
    port = bind(server, serving)
    return Server(
        server, front, port, generations, health, live, metrics, streams, limits, serving,
        reader.warm,
    )  # fmt: skip


def _has_front(serving: Serving) -> bool:
    if serving.front == "grpc":
        return False
    lacks = missing()
    if lacks is not None:
        log.warning("front", because=lacks, instead="grpcio's own handlers, slower")
    return lacks is None


def _shared_answers(
    settings: Settings,
    generations: GenerationSwitch,
    clock: Clock,
    deltas_of: DeltasOf,
    metrics: ServerMetrics,
    cold: ColdReads,
) -> SharedAnswers | None:
    """None where reads are not compiled."""
    if not (settings.serving.compiled and can_answer(settings.spec)):
        return None
    from serving.compiled_answers import SharedAnswers  # numba is an optional package

    return SharedAnswers(settings, generations, clock, deltas_of, metrics, cold)


def _compiled_forms(shared: SharedAnswers | None) -> CompiledForms:
    if shared is None:
        return {}
    return {"GetProfile": shared.get_profile, "BatchGetProfiles": shared.batch_get_profiles}


def _front(
    server: grpc.Server,
    responds: Responds,
    soon: AtOnce | None,
    cold: ColdReads,
    counts: Counts,
    limits: CallLimits,
    tokens: Tokens | None,
    lost: LostCalls,
) -> Front:
    """The front of a server, before it is started; `soon` is None if all calls go to the pool."""
    at_once = None if soon is None else _if_soon(soon, cold)
    methods = [
        Method(
            full_name(name), at_once if name == "GetProfile" else None, respond,
            counts[full_name(name)],
        )
        for name, respond in responds.items()
    ]  # fmt: skip
    return Front(server, methods, limits, tokens, lost)


def _if_soon(at_once: AtOnce, cold: ColdReads) -> AtOnce:
    """Leaves large requests to the pool, and all reads while they may wait for the disk."""
    return lambda data: None if len(data) > _LARGE_REQUEST_BYTES or cold.now else at_once(data)
