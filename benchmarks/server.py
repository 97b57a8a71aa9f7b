"""Server processes under test: started on their core, asked for their CPU time, stopped.

A server prints one line of JSON with its address once it answers. It runs in a directory of its
own and without this shell's IMPRESSIONS_* settings, so that only what is passed counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cores
from benchmarks.peers import native
from benchmarks.world import World
from impressions.settings.model import Settings

_STOP_WITHIN_S = 20.0


@dataclass(frozen=True)
class Server:
    """A server that answers at `address`."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """Seconds of CPU time the process and its living children have used; NaN where the system
        does not tell."""
        return _cpu_s(self.pid)


@contextlib.contextmanager
def real(world: World, front: str = "loop") -> Iterator[Server]:
    """`python -m serving` on the loaded generation: one worker, default settings but the front."""
    with of_host(world.loaded, world.home, front) as server:
        yield server


@contextlib.contextmanager
def of_host(settings: Settings, directory: Path, front: str = "loop") -> Iterator[Server]:
    """The same on any host."""
    command = [sys.executable, "-m", "serving", "--json", "--listen", "127.0.0.1:0"]
    command += ["--set", f"serving.front={front}", "--set", f"partitions={settings.partitions}"]
    with started([*command, "--set", f"home={settings.home_dir}"], directory) as server:
        yield server


@contextlib.contextmanager
def live(world: World, form: str = "loop") -> Iterator[Server]:
    """The same service with the deltas of seven days in the store of the host, in one of the forms
    of benchmarks/live_server.py."""
    with started(_of_world(world, str(_deltas(world)), form), world.home) as server:
        yield server


@contextlib.contextmanager
def before(world: World) -> Iterator[Server]:
    """The service without deltas as it was: grpcio's own handlers, protobuf and numpy."""
    with started(_of_world(world, "-", "before"), world.home) as server:
        yield server


def _of_world(world: World, deltas: str, form: str) -> list[str]:
    settings = world.loaded
    command = [sys.executable, "-m", "benchmarks.live_server", str(settings.home_dir)]
    return [*command, settings.generations, deltas, form]


def _deltas(world: World) -> Path:
    path = world.home / "deltas.pickle"
    by_id = [world.profile(i).deltas for i in range(len(world.profiles))]
    path.write_bytes(pickle.dumps((by_id, len(world.profile_ids))))
    return path


@contextlib.contextmanager
def echo(world: World, reply: bytes) -> Iterator[Server]:
    """The echo peer with this reply."""
    path = world.home / f"reply-{len(reply)}"
    path.write_bytes(reply)
    command = [sys.executable, "-m", "benchmarks.peers.echo", str(path)]
    with started(command, world.home) as server:
        yield server


@contextlib.contextmanager
def loop_echo(world: World, reply: bytes, method: str) -> Iterator[Server]:
    """The front of our server, which answers each call of a method with this reply."""
    path = world.home / f"reply-{len(reply)}"
    path.write_bytes(reply)
    command = [sys.executable, "-m", "benchmarks.peers.loop_echo", str(path), method]
    with started(command, world.home) as server:
        yield server


@contextlib.contextmanager
def native_echo(world: World, reply: bytes) -> Iterator[Server]:
    """The echo in Go. Raises PeerMissing."""
    path = world.home / f"reply-{len(reply)}"
    path.write_bytes(reply)
    with started([str(native.executable("echo")), str(path)], world.home) as server:
        yield server


@contextlib.contextmanager
def started(command: list[str], directory: Path) -> Iterator[Server]:
    """A server on its core that tells its address; stopped at the end of the block."""
    log = directory / "servers.log"
    with log.open("ab") as stderr, cores.starting_on(cores.SERVER):
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=directory,
            env=environment(),
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            message = f"{' '.join(command[:3])}: ended with code {process.wait()}"
            raise RuntimeError(f"{message}\n{log.read_text()}")
        yield Server(json.loads(line)["address"], process.pid)
    finally:
        process.stdin.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def environment() -> dict[str, str]:
    """This shell's variables without our settings, and where our modules are."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IMPRESSIONS_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parent.parent)}


def _cpu_s(pid: int) -> float:
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        children = (process / f"task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return float("nan")
    own_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own_s + sum(_cpu_s(int(child)) for child in children)
