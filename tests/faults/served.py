"""A real server process that the faults of serving are tried on: pinned, watched, asked at length.

Profiles 1 to 40 hold 1,500 titles each, as a home page's viewer has after a year; what else is
published is the caller's. Server and sender take different cores where there are two.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.v1 import impressions_service_pb2 as pb
from tests.blocks import profile_block_of
from tests.faults.flood import Plan, Sent, send
from tests.generations import CUTOVER_MS, SPEC
from tests.serving.process import Process, end
from tests.serving.support import install, settings_in

PROFILES = range(1, 41)
TITLES = 1_500
GET = "/impressions.v1.ImpressionsService/GetProfile"
OK, EXHAUSTED = 0, 8
ATTEMPTS = 3
"""A busy machine may spoil a measurement; a slow server spoils every one."""
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, SENDER_CORE = (_CORES[0], _CORES[-1]) if len(_CORES) > 1 else (None, None)

needs_two_cores = pytest.mark.skipif(SERVER_CORE is None, reason="a server and its sender: 2 cores")


def block_of_titles(titles: int, seed: int) -> bytes:
    """The profile block of a profile that saw so many titles, each once."""
    rng = random.Random(seed)
    events = [
        {
            "title": 1 + i,
            "location": rng.randrange(4),
            "event_ms": CUTOVER_MS - rng.randrange(1, 300 * DAY_MS),
            "played": rng.randrange(2),
            "dwell_s": 2.5,
        }
        for i in range(titles)
    ]
    return profile_block_of(events, CUTOVER_MS, SPEC)


def host_with(home: Path, more: Mapping[int, bytes] | None = None) -> Settings:
    """A host whose active generation holds `PROFILES`, and whatever else is given as blocks."""
    settings = settings_in(home)
    usual = block_of_titles(TITLES, 1)
    install(settings, blocks={**dict.fromkeys(PROFILES, usual), **(more or {})})
    return settings


@contextlib.contextmanager
def server_of(settings: Settings, tmp_path: Path, *flags: str) -> Iterator[Process]:
    """`python -m serving` on that host, on its core."""
    process = Process(settings, tmp_path, "--listen", "127.0.0.1:0", *flags, debug=False)
    try:
        assert process.address is not None, process.log
        pin(process.popen.pid)
        yield process
    finally:
        end(process)


def pin(pid: int) -> None:
    """Keep a process, with all its threads, on the server's core."""
    if SERVER_CORE is not None:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {SERVER_CORE})


def request(profile_id: int, titles: int = 200) -> str:
    """A `GetProfile` in hex: some titles, or all with 0."""
    message = pb.GetProfileRequest(profile_id=profile_id, query_time_ms=CUTOVER_MS)
    message.projection.title_ids.extend(range(1, 1 + 7 * titles, 7))
    return message.SerializeToString().hex()


USUAL = [request(profile) for profile in PROFILES]


def closed(address: str, seconds: float, callers: int = 4, requests: list[str] = USUAL) -> Sent:
    """So many callers, each with one call under way."""
    return send(Plan(address, GET, requests, seconds, callers=callers), SENDER_CORE)


def opened(address: str, seconds: float, per_s: float, requests: list[str] = USUAL) -> Sent:
    """A fixed rate."""
    return send(Plan(address, GET, requests, seconds, per_s=per_s), SENDER_CORE)


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class HealthWatch:
    """Asks a server's health, over one connection, whenever it is asked to."""

    def __init__(self, address: str):
        self._channel = grpc.insecure_channel(address)
        self._stub = health_pb2_grpc.HealthStub(self._channel)

    def __enter__(self) -> HealthWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def is_green(self) -> bool:
        """Raises grpc.RpcError when health does not answer."""
        answer = self._stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
