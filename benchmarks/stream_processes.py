"""Processes of the stream's stages: a worker as it ships, and its peers, each on the first core.

    working    `python -m speed`, default settings but for names and addresses
    peer       a peer that prints, as its last line, what it did (benchmarks/peers/protocol.py)

What a process has used of its core is asked of the system, what the worker has applied of its own
/metrics: nothing is added to the process under test.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cores
from impressions.settings.model import Settings
from tests.speed.worker_process import toml_of

_REPOSITORY = Path(__file__).parent.parent
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_STOP_WITHIN_S = 20.0
_LINE_WITHIN_S = 300.0
"""A worker may have to compile first: half a minute of CPU."""
_POLL_S = 0.02


@dataclass(frozen=True)
class Drained:
    """A steady drain: what was counted between two instants, start-up left out.

    Attributes:
        cpu_s: of the process, all its threads.
    """

    impressions: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.impressions / self.seconds

    @property
    def cpu_us(self) -> float:
        """Of one impression."""
        return self.cpu_s / self.impressions * 1e6


class Process:
    """A process under test, and what it printed first."""

    def __init__(self, popen: subprocess.Popen[str], log: Path):
        self.popen, self.log = popen, log
        self.first_line: dict[str, Any] = {}

    def line(self, within_s: float = _LINE_WITHIN_S) -> dict[str, Any]:
        """The next line of JSON it prints; one that says nothing for so long is ended."""
        assert self.popen.stdout is not None
        watch = threading.Timer(within_s, self.popen.kill)
        watch.start()
        said = ""
        try:
            while line := self.popen.stdout.readline():
                if line.startswith("{"):
                    found: dict[str, Any] = json.loads(line)
                    return found
                said += line
        finally:
            watch.cancel()
        said = f"{said[-1_000:]}\n{self.log.read_text()[-2_000:]}"
        raise RuntimeError(f"ended with {self.popen.wait()}, having said: {said}")

    def cpu_s(self) -> float:
        """Seconds of CPU time it has used; NaN where the system does not tell."""
        try:
            stat = Path(f"/proc/{self.popen.pid}/stat").read_text()
        except FileNotFoundError:
            return float("nan")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker(Process):
    """A worker of the stream."""

    def outcomes(self) -> dict[str, int]:
        """Impressions by what became of them."""
        url = f"http://{self.first_line['metrics']}/metrics"
        with _DIRECT.open(url, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        prefix = 'impressions_events_total{layer="speed",outcome="'
        found = (line.removeprefix(prefix) for line in lines if line.startswith(prefix))
        return {x.partition('"')[0]: int(float(x.rpartition(" ")[2])) for x in found}

    def drain(self, impressions: int, still_s: float = 60) -> Drained:
        """Wait until so many are applied; measured from its first flush to its last, or from now
        where there is but one.

        A worker may take as long as a busy machine makes it; one that stands still is given up.

        Raises:
            AssertionError: nothing was applied for `still_s`; another number was applied, or any
                were rejected or duplicates.
        """
        begun, first = (time.perf_counter(), 0, self.cpu_s()), None
        before = begun
        while True:
            counted = self.outcomes()
            now = time.perf_counter(), counted["applied"], self.cpu_s()
            if now[1] > before[1]:
                before = now
            if now[1] and first is None:
                first = now
            if sum(counted.values()) >= impressions or now[0] - before[0] > still_s:
                break
            if self.popen.poll() is not None:
                raise RuntimeError(f"the worker ended\n{self.log.read_text()[-2_000:]}")
            time.sleep(_POLL_S)
        if first is None or counted != {"applied": impressions, "duplicate": 0, "rejected": 0}:
            raise AssertionError(f"the worker counted {counted}, expected {impressions} applied")
        since = first if first[1] < impressions else begun
        return Drained(now[1] - since[1], now[0] - since[0], now[2] - since[2])


@contextlib.contextmanager
def working(settings: Settings, core: int | None = cores.SERVER) -> Iterator[Worker]:
    """A worker with these settings, on one core or on any."""
    with started("speed", settings, Worker, core=core) as worker:
        worker.first_line = worker.line()
        yield worker


@contextlib.contextmanager
def started(
    module: str,
    settings: Settings,
    kind: Callable[[subprocess.Popen[str], Path], Any] = Process,
    *flags: str,
    core: int | None,
) -> Iterator[Any]:
    """`python -m module --config <settings> --json`."""
    home = settings.home_dir
    home.mkdir(parents=True, exist_ok=True)
    config = home / f"{module}.toml"
    values = settings.model_dump(mode="json", exclude_defaults=True)
    config.write_text(toml_of(values))  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", module, "--config", str(config), "--json", *flags]
    with _running(command, home, kind, core=core) as process:
        yield process


@contextlib.contextmanager
def peer(
    module: str,
    home: Path,
    request: Mapping[str, Any],
    *flags: str,
    python: Path | None = None,
    core: int | None = cores.SERVER,
) -> Iterator[Process]:
    """A peer, which finds what it needs in the variable PEER."""
    command = [str(python or sys.executable), "-m", f"benchmarks.peers.{module}", *flags]
    environment = {"PEER": json.dumps(request)}
    with _running(command, home, Process, core=core, environment=environment) as process:
        yield process


@contextlib.contextmanager
def module(
    name: str, home: Path, *arguments: str, core: int | None = cores.SERVER
) -> Iterator[Process]:
    """`python -m name` of this package."""
    command = [sys.executable, "-m", name, *arguments]
    with _running(command, home, Process, core=core) as process:
        yield process


@contextlib.contextmanager
def _running(
    command: list[str],
    home: Path,
    kind: Callable[[subprocess.Popen[str], Path], Any],
    *,
    core: int | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    home.mkdir(parents=True, exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("IMPRESSIONS_")}
    log = home / "process.log"
    with log.open("ab") as stderr, cores.starting_on(core):
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=home,
            env={**inherited, "PYTHONPATH": str(_REPOSITORY), **(environment or {})},
        )
    try:
        yield kind(popen, log)
    finally:
        popen.terminate()
        try:
            popen.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        assert popen.stdout is not None
        popen.stdout.close()
