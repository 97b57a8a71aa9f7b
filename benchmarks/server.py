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
from benchmarks.world import World

_STOP_WITHIN_S = 20.0


@dataclass(frozen=True)
class Server:
    """A server that answers at `address`."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """Seconds of CPU time the process has used; NaN where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def real(world: World) -> Iterator[Server]:
    """`python -m serving` on the loaded generation, one worker, default settings."""
    settings = world.loaded
    command = ["serving", "--json", "--listen", "127.0.0.1:0"]
    with _started([*command, "--set", f"home={settings.home_dir}"], world.home) as server:
        yield server


@contextlib.contextmanager
def live(world: World) -> Iterator[Server]:
    """The same service with the deltas of seven days from memory."""
    deltas = world.home / "deltas.pickle"
    by_id = [world.profile(i).deltas for i in range(len(world.profiles))]
    deltas.write_bytes(pickle.dumps(by_id))
    settings = world.loaded
    arguments = [str(settings.home_dir), settings.generations, str(deltas)]
    with _started(["benchmarks.live_server", *arguments], world.home) as server:
        yield server


@contextlib.contextmanager
def echo(world: World, reply: bytes) -> Iterator[Server]:
    """The echo peer with this reply."""
    path = world.home / f"reply-{len(reply)}"
    path.write_bytes(reply)
    with _started(["benchmarks.peers.echo", str(path)], world.home) as server:
        yield server


@contextlib.contextmanager
def _started(module_and_flags: list[str], directory: Path) -> Iterator[Server]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("IMPRESSIONS_")}
    log = directory / "servers.log"
    process = subprocess.Popen(
        [sys.executable, "-m", *module_and_flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.open("ab"),
        cwd=directory,
        env={**environment, "PYTHONPATH": str(Path(__file__).parent.parent)},
        preexec_fn=lambda: cores.pin(cores.SERVER),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            message = f"{module_and_flags[0]}: ended with code {process.wait()}"
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
