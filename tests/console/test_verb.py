"""`impressions console` as a process: where it listens, what it prints, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from impressions.cli.main import build_app
from impressions.process.command import main
from impressions.process.registry import running
from impressions.settings.model import Settings

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def console(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "impressions.cli.main", "--set", f"home={tmp_path}", "console",
         "--listen", "127.0.0.1:0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_it_says_where_it_is_answers_there_and_ends_when_asked(
    console: subprocess.Popen[str], tmp_path: Path
) -> None:
    """In a home where nothing is, too; the id of a profile that was looked up is in no output."""
    assert console.stdout is not None
    assert console.stderr is not None
    said = json.loads(console.stdout.readline())
    with _DIRECT.open(said["url"], timeout=60) as answer:
        assert answer.headers["Server"] == "impressions"
        assert "Nothing is broken" in answer.read().decode()
    with _DIRECT.open(urllib.request.Request(said["url"], method="HEAD"), timeout=60) as answer:
        assert answer.read() == b""
    with _DIRECT.open(said["url"] + "profile?profile=4242424242", timeout=60) as answer:
        assert "No answer" in answer.read().decode()
    (listed,) = running(Settings(home=tmp_path))
    assert (listed.kind, listed.address) == ("console", said["address"])
    console.send_signal(signal.SIGTERM)
    assert console.wait(60) == 0
    assert "4242424242" not in console.stdout.read() + console.stderr.read()
    assert running(Settings(home=tmp_path)) == []


@pytest.mark.parametrize(
    ("listen", "reason"), [("0.0.0.0:0", "not_loopback"), ("127.0.0.1:{taken}", "port_taken")]
)
def test_an_address_that_it_cannot_or_must_not_have_is_refused(
    listen: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = listen.format(taken=other.getsockname()[1])
        words = ["--set", f"home={tmp_path}", "console", "--listen", address, "--json"]
        assert main(build_app(), words, prog="impressions") == 7
    assert json.loads(capsys.readouterr().out)["reason"] == reason
