"""The local broker: a process of its own that is found again, ends cleanly, and survives a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from impressions.core.errors import NotReady, ServiceError
from impressions.kafka import client, topics
from impressions.local.broker import Broker
from impressions.local.pid_file import PidFile
from impressions.local.ports import PORTS
from impressions.settings.model import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Broker]:
    """A broker that was never started; ended whatever happens."""
    broker = Broker(Settings(home=tmp_path, partitions=2))
    yield broker
    broker.stop()


@pytest.mark.slow
def test_the_command_line_starts_finds_and_stops_it(tmp_path: Path, own: Broker) -> None:
    """Each verb is a process of its own; the broker outlives them and belongs to no session."""

    def kafka(*words: str) -> dict[str, object]:
        command = [
            sys.executable,
            "-m",
            "impressions.cli.main",
            "--set",
            f"home={tmp_path}",
            *words,
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return dict(json.loads(done.stdout))

    assert kafka("kafka", "status")["running"] is False
    first = kafka("kafka", "start")
    pid = int(str(first["pid"]))
    assert first["started"] is True
    assert os.getsid(pid) == pid
    assert int(str(first["bootstrap"]).rpartition(":")[2]) in PORTS
    again = kafka("kafka", "start")
    assert (again["started"], again["pid"]) == (False, pid)
    assert client.find_bootstrap(own.settings) == first["bootstrap"]
    assert kafka("kafka", "status")["topics"] == []
    assert kafka("kafka", "stop")["stopped"] is True
    assert own.process.pid_file.holder() is None
    assert client.find_bootstrap(own.settings) is None
    assert kafka("kafka", "stop")["stopped"] is False


@pytest.mark.slow
@pytest.mark.representative
def test_a_restart_keeps_port_and_data_and_so_does_a_kill(
    own: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped, then hung so that only force ends it: the same topics at the same place."""
    first, _ = own.start()
    topics.create(own.settings)
    ids = {name: found.topic_id for name, found in topics.check(own.settings).items()}
    own.stop()
    second, started = own.start()
    assert started
    assert second.bootstrap == first.bootstrap
    os.kill(second.pid, signal.SIGSTOP)
    own.stop(timeout_s=0.2)
    assert f"pid {second.pid}) did not stop within" in capsys.readouterr().err
    assert own.process.pid_file.holder() is None
    third, _ = own.start()
    assert third.bootstrap == first.bootstrap
    assert {name: f.topic_id for name, f in topics.check(own.settings).items()} == ids


def test_two_starts_at_once_start_one(own: Broker) -> None:
    """Both say the same process; one of them started it. Another port than its own is refused."""
    with ThreadPoolExecutor(2) as pool:
        (a, a_started), (b, b_started) = pool.map(lambda _: own.start(), range(2))
    assert a.pid == b.pid
    assert a_started != b_started
    other = next(port for port in PORTS if not a.bootstrap.endswith(f":{port}"))
    with pytest.raises(NotReady, match=f"expected port {other}"):
        own.start(port=other)


def test_a_pid_of_another_program_is_not_taken_for_the_broker(own: Broker) -> None:
    """After a crash the number may belong to anyone; here to this very test, which must live on."""
    own.dir.mkdir(parents=True)
    own.process.pid_file.path.write_text(f"{os.getpid()}\n")
    own.address_file.write_text("127.0.0.1:1\n")
    assert own.running() is None
    assert own.stop() is False
    assert not own.address_file.exists()


def test_a_pid_file_is_held_as_long_as_the_process_lives(tmp_path: Path) -> None:
    """The lock is inherited: the starter closes its copy, the child's end is what frees it."""
    pid_file = PidFile(tmp_path / "x.pid")
    with pid_file.claim() as claim:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[claim.fileno()])
        claim.write(str(child.pid))
    assert pid_file.holder() == child.pid
    child.kill()
    child.wait()
    assert pid_file.holder() is None


def test_a_port_that_is_taken_is_named(own: Broker) -> None:
    """With the way out; nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NotReady, match=f"port {port} of 127.0.0.1 is taken") as caught:
            own.start(port=port)
    assert "--port" in (caught.value.hint or "")
    assert own.running() is None


def test_a_broker_that_cannot_start_says_why(own: Broker) -> None:
    """Its data belong to another node: the message holds what Kafka said, no process is left."""
    own.data_dir.mkdir(parents=True)
    (own.data_dir / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=7\n")
    with pytest.raises(ServiceError, match=r"node\.id|nodeId|node id") as caught:
        own.start()
    assert str(own.log_file) in (caught.value.hint or "")
    assert own.process.pid_file.holder() is None
    assert not own.address_file.exists()
