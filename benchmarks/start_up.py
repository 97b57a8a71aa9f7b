"""How long until help is shown, a client can call and a server answers; limit: the bare imports of
their libraries.

Fresh interpreters, their files in the page cache, byte code compiled. A server is timed from the
exec of `python -m serving` until its health says SERVING, on a generation that lies in the page
cache, after one start that is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks import server as servers
from benchmarks.frame import Goal, Row, in_turns, row
from benchmarks.world import World

_RUNS = 5
_READY_WITHIN_S = 30.0
_CLIENT = "import impressions.client"
_TYPER = "import typer"
_HELP = (
    "import contextlib, os; from impressions.cli.main import build_app; "
    "build_app()(['--help'], standalone_mode=False)"
)
_LIBRARIES = "import grpc, numpy, google.protobuf.descriptor_pool, google.rpc.status_pb2"


def run(world: World) -> Iterator[Row]:
    """The import of the client, then a server."""
    found = in_turns(
        {"ours": partial(import_s, world, _CLIENT), "limit": partial(import_s, world, _LIBRARIES)},
        _RUNS,
    )
    yield row("start-up", "import of the client; limit: grpc, protobuf and numpy alone",
              found["ours"], "s", limit=found["limit"], goal=Goal("ours", "<=", 0.2))  # fmt: skip
    found = in_turns(
        {"ours": partial(import_s, world, _HELP), "limit": partial(import_s, world, _TYPER)}, _RUNS
    )
    yield row("start-up", "impressions --help; limit: the import of typer",
              found["ours"], "s", limit=found["limit"], goal=Goal("ours", "<=", 0.3))  # fmt: skip
    ready_s(world)
    seconds = in_turns({"ours": partial(ready_s, world)}, _RUNS)["ours"]
    measure = f"server ready, {world.manifest.size_bytes / 1e6:,.0f} MB in the page cache"
    yield row("start-up", measure, seconds, "s", goal=Goal("ours", "<=", 1))


def import_s(world: World, statement: str) -> float:
    """Seconds of an import, measured by an interpreter that does nothing else."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=servers.environment(),
        cwd=world.home,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.split()[-1])


def ready_s(world: World) -> float:
    """Seconds from the exec of a server until it is SERVING."""
    settings = world.loaded
    started_s = time.perf_counter()
    with servers.real(world) as server, grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while not _is_serving(health):
            if time.perf_counter() - started_s > _READY_WITHIN_S:
                raise AssertionError(f"start-up: {settings.home_dir}: not SERVING in time")
        return time.perf_counter() - started_s


def _is_serving(health: health_pb2_grpc.HealthStub) -> bool:
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=_READY_WITHIN_S)
    return answer.status == health_pb2.HealthCheckResponse.SERVING
