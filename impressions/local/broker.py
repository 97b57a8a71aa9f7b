"""The local broker: Apache Kafka (KRaft) as a process of its own, without Docker.

    <home>/kafka/data               the log; survives restarts
    <home>/kafka/server.properties  written at each start; keeps the ports for the next one
    <home>/kafka/broker.pid         locked by the broker for as long as it lives (pid_file)
    <home>/kafka/broker.log         what it printed
    <home>/kafka/address            host:port while it answers (impressions/kafka/client.py)

A start ends when the broker answers a metadata request, so a reader of the address can use it.
The broker belongs to no terminal and no session. Ports are chosen once and kept, so clients find it
again after a restart. It is a cluster by itself; for tests of what several do, each with a `home`
of its own, it may be a `Member` of one (impressions/local/kafka_config.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from impressions.clock import monotonic_s
from impressions.core.errors import NotReady, ServiceError
from impressions.jvm import jars
from impressions.jvm.environment import java_environment
from impressions.jvm.java import find_java
from impressions.kafka.client import address_file
from impressions.local.detached import Detached
from impressions.local.kafka_config import LOGGING, Member, server_properties
from impressions.local.pid_file import AlreadyRuns
from impressions.local.ports import HOST, free_ports, is_free
from impressions.settings.model import Settings
from impressions.storage import local_files
from impressions.terminal.console import warn

LOCK_FILE = Path(__file__).with_name("kafka-jars.toml")
_HEAP = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_POLL_S = 0.05
_LOG_LINES = 15


@dataclass(frozen=True)
class Running:
    """A broker that answers, or is about to."""

    pid: int
    bootstrap: str
    uptime_s: float


class Broker:
    """The broker of one `home`. Holds no state: every question is asked of the files.

    Args:
        member: which node of a cluster it is. Such a node answers only once most of them run.
    """

    def __init__(self, settings: Settings, member: Member | None = None) -> None:
        self.settings, self.member = settings, member
        self.dir = settings.home_dir / "kafka"
        self.data_dir = self.dir / "data"
        self.process = Detached(self.dir, "broker")
        self.address_file = address_file(settings)
        self._properties = self.dir / "server.properties"

    @property
    def log_file(self) -> Path:
        return self.process.log_file

    def running(self) -> Running | None:
        """The process, once it has said its address; None where there is none."""
        pid, pid_file = self.process.pid, self.process.pid_file.path
        if pid is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            bootstrap = self.address_file.read_text("ascii").strip()
            return Running(pid, bootstrap, time.time() - pid_file.stat().st_mtime)
        return None

    def start(self, port: int | None = None, timeout_s: float = 60) -> tuple[Running, bool]:
        """Starts it and waits until it answers.

        Args:
            port: where to listen; None: as last time, or any free port.

        Returns:
            The broker, and whether this call started it.

        Raises:
            MissingDependency: no Java, or a jar that cannot be had.
            NotReady: the port is taken, or one that runs listens elsewhere than asked.
            ServiceError: it ended, or did not answer in time; the message holds its last lines.
        """
        deadline_s = monotonic_s() + timeout_s
        claim = self._claim(deadline_s)
        if isinstance(claim, Running):
            return _at_port(claim, port), False
        with claim:
            self.address_file.unlink(missing_ok=True)
            process, bootstrap = self._spawn(claim, port)
        try:
            self._await_answer(process, bootstrap, deadline_s)
        except BaseException:  # an interrupt too: no broker is left behind
            process.kill()
            process.wait()
            raise
        local_files.replace(self.address_file, f"{bootstrap}\n".encode("ascii"))
        return Running(process.pid, bootstrap, 0.0), True

    def stop(self, timeout_s: float = 20) -> bool:
        """Ends it, by force after `timeout_s`; False where none ran."""
        pid = self.process.pid
        if not self.process.end(signal.SIGTERM, timeout_s):
            warn(f"the broker (pid {pid}) did not stop within {timeout_s:.0f} s: killed")
            self.kill()
        self.address_file.unlink(missing_ok=True)
        return pid is not None

    def kill(self) -> None:
        """kill -9, and nothing tidied: what a crash leaves. For tests of just that."""
        self.process.end(signal.SIGKILL, 10)

    def _spawn(self, claim: IO[str], port: int | None) -> tuple[subprocess.Popen[bytes], str]:
        java = str(find_java().executable)
        paths = jars.ensure(self.settings, jars.read_lock(LOCK_FILE))
        base = [java, *_HEAP, "-cp", os.pathsep.join(map(str, paths))]
        port, controller_port = self._ports(port)
        self._properties.write_text(
            server_properties(self.data_dir, port, controller_port, self.member), "utf-8"
        )
        logging = self.dir / "log4j2.properties"
        logging.write_text(LOGGING, "utf-8")
        base.insert(1, f"-Dlog4j2.configurationFile={logging}")
        self._format(base)
        command = [*base, "kafka.Kafka", str(self._properties)]
        process = self.process.spawn(claim, command, java_environment(os.environ), self.dir)
        return process, f"{HOST}:{port}"

    def _ports(self, port: int | None) -> tuple[int, int]:
        """Of clients and of the controller; the first must be the one asked for, or last time's."""
        kept = _kept_ports(self._properties)
        port = port or kept.get("PLAINTEXT")
        controller = self.member.controller_port if self.member else None
        for fixed in (port, controller):
            if fixed is not None and not is_free(fixed):
                raise NotReady(
                    f"port {fixed} of {HOST} is taken by another program",
                    hint="impressions kafka start --port <a free one>",
                    reason="port_taken",
                )
        free = (p for p in free_ports() if p != port)
        port = port or next(free)
        controller = controller or kept.get("CONTROLLER")
        return port, controller if controller and is_free(controller) else next(free)

    def _format(self, java: list[str]) -> None:
        """Gives an empty data directory its identity; one that has it is left as it is."""
        if (self.data_dir / "meta.properties").exists():
            return
        cluster_id = self.member.cluster_id if self.member else new_cluster_id()
        made = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster_id,
             "-c", str(self._properties)],
            env=java_environment(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
        )  # fmt: skip
        if made.returncode:
            raise ServiceError(
                f"Kafka cannot use {self.data_dir}: {_last_lines(made.stdout + made.stderr)}",
                reason="broker_start",
            )

    def _await_answer(
        self, process: subprocess.Popen[bytes], bootstrap: str, deadline_s: float
    ) -> None:
        while not _answers(bootstrap):
            ended = process.poll() is not None
            if ended or monotonic_s() > deadline_s:
                what = f"ended with {process.returncode}" if ended else "did not answer in time"
                said = _last_lines(self.log_file.read_text("utf-8", errors="replace"))
                raise ServiceError(
                    f"the broker at {bootstrap} {what}: {said}",
                    hint=f"all it said is in {self.log_file}",
                    reason="broker_start",
                )
            time.sleep(_POLL_S)

    def _claim(self, deadline_s: float) -> IO[str] | Running:
        """The right to start it, or the broker that runs; waits for one that another starts."""
        while True:
            with contextlib.suppress(AlreadyRuns):
                return self.process.pid_file.claim()
            if found := self.running():
                return found
            if monotonic_s() > deadline_s:
                raise NotReady(
                    f"another start of the broker in {self.dir} has not finished",
                    hint="impressions kafka stop, then start again",
                    reason="broker_start",
                )
            time.sleep(_POLL_S)


def new_cluster_id() -> str:
    """As Kafka makes one: 16 random bytes, and none that a command line takes for a flag."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def _at_port(running: Running, port: int | None) -> Running:
    """Refuses a broker that listens elsewhere than asked."""
    if port is not None and not running.bootstrap.endswith(f":{port}"):
        raise NotReady(
            f"the broker runs at {running.bootstrap}, expected port {port}",
            hint=f"impressions kafka stop && impressions kafka start --port {port}",
            reason="broker_port",
        )
    return running


def _kept_ports(properties: Path) -> dict[str, int]:
    """Listener -> port, of the last start."""
    with contextlib.suppress(FileNotFoundError):
        text = properties.read_text("utf-8")
        listeners = re.search(r"^listeners=(.*)$", text, re.MULTILINE)
        found = re.findall(r"(\w+)://[^:]*:(\d+)", listeners[1] if listeners else "")
        return {name: int(port) for name, port in found}
    return {}


def _answers(bootstrap: str) -> bool:
    """Whether a metadata request succeeds. The plain connect spares librdkafka's back-off."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    host, _, port = bootstrap.rpartition(":")
    with contextlib.suppress(OSError, KafkaException):
        socket.create_connection((host, int(port)), timeout=1).close()
        return bool(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=2).brokers)
    return False


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-_LOG_LINES:]) or "it said nothing"
