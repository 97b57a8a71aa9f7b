"""Makes a server from the settings: creates its parts, connects them, and binds the port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from impressions.clock import Clock, now_ms
from impressions.settings.model import Settings
from serving.call_limits import call_limits
from serving.generation_switch import GenerationSwitch
from serving.grpc_server import METHODS, bind, grpc_server
from serving.health import Health
from serving.live_deltas import LiveDeltas, is_configured
from serving.metrics import ServerMetrics
from serving.open_streams import OpenStreams
from serving.reads import DeltasOf, Reader, no_deltas
from serving.self_report import SelfReport, self_report
from serving.server import Server
from serving.service import ImpressionsService

_HEALTH_THREADS = 4


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
    reader = Reader(settings, deltas_of or live or no_deltas, metrics)
    service = ImpressionsService(settings, generations, clock, reader, report)
    counts = {name: metrics.counter_of(name.rpartition("/")[2]) for name in METHODS}
    limits = call_limits(serving)
    server = grpc_server(serving, service, health, streams, limits, counts, share_port=share_port)
    port = bind(server, serving)
    return Server(server, port, generations, health, live, metrics, streams, limits, serving)
