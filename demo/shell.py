"""Runs `impressions` the way a person would: as its own process, the command line shown first."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "cli.main"]


class StepFailed(Exception):
    """A command of the story exited with an error."""


class Shell:
    """Commands of one demo directory, all with its own `impressions.toml`."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}

    def run(self, *words: str) -> None:
        """Run one command to its end, its output passing through."""
        self._show(words)
        done = subprocess.run([*COMMAND, *words], cwd=self.directory, env=self._environment)
        if done.returncode:
            raise StepFailed(f"`impressions {shlex.join(words)}` exited with {done.returncode}")

    @contextmanager
    def server(self, address: str) -> Iterator[subprocess.Popen[str]]:
        """`impressions serve` in the background; stopped and reaped at the end."""
        words = ("serve", "--set", f"serving.listen={address}")
        self._show((*words, "&"))
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.directory,
            env=self._environment,
            text=True,
            stderr=subprocess.PIPE,
        )
        reader = threading.Thread(target=_indent, args=(process,), daemon=True)
        reader.start()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join(timeout=5)

    def _show(self, words: tuple[str, ...]) -> None:
        print(
            f"\n$ impressions {shlex.join(words).replace(chr(39) + '&' + chr(39), '&')}", flush=True
        )


def free_address() -> str:
    """A loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _indent(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        print(f"  [server] {line}", end="", flush=True)
