"""Runs `impressions` the way a person would: as its own process, the command line shown first."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path

from impressions.cli.main import build_app
from impressions.process.command import main as run_app

COMMAND = [sys.executable, "-m", "impressions.cli.main"]
_END_S = 40


class StepFailed(Exception):
    """A command of the story exited with an error."""


class Background:
    """A command that goes on; its messages are shown, indented, under a label."""

    def __init__(self, shell: Shell, label: str, words: tuple[str, ...]):
        self.label, self._shell, self._words = label, shell, words
        self._spawn()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """kill -9, and see it dead."""
        self._process.kill()
        self._process.wait(_END_S)

    def again(self) -> None:
        """Start the same command again."""
        self._reader.join(timeout=5)
        self._spawn()

    def check(self) -> None:
        """Raises StepFailed if it has ended."""
        if (code := self._process.poll()) is not None:
            raise StepFailed(f"`impressions {shlex.join(self._words)}` has ended with {code}")

    def stop(self) -> int | None:
        """SIGTERM, and its exit code; None if it had to be killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self._reader.join(timeout=5)
        return code

    def _spawn(self) -> None:
        self._shell.show((*self._words, "&"))
        self._process = subprocess.Popen(
            [*COMMAND, *self._words],
            cwd=self._shell.directory,
            env=self._shell.environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._indent, daemon=True)
        self._reader.start()

    def _indent(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            print(f"  [{self.label}] {line}", end="", flush=True)


class Shell:
    """Commands of one demo directory, all with its own `impressions.toml`."""

    def __init__(self, directory: Path, inside: Collection[str] = ()):
        """`inside`: verbs to run in this process, where it has a JVM that they can share."""
        self.directory, self._inside = directory, inside
        self.environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
        self._backgrounds: list[Background] = []

    def run(self, *words: str) -> None:
        """Run one command to its end, its output passing through."""
        self.show(words)
        if words[0] in self._inside:
            with contextlib.chdir(self.directory):
                code = run_app(build_app(), list(words), prog="impressions")
        else:
            command = [*COMMAND, *words]
            code = subprocess.run(command, cwd=self.directory, env=self.environment).returncode
        if code:
            raise StepFailed(f"`impressions {shlex.join(words)}` exited with {code}")

    def background(self, label: str, *words: str) -> Background:
        """Start a command that goes on until `stop`."""
        started = Background(self, label, words)
        self._backgrounds.append(started)
        return started

    def stop(self) -> list[str]:
        """Stop everything that goes on, the last first; returns who did not end well."""
        bad = []
        while self._backgrounds:
            background = self._backgrounds.pop()
            if (code := background.stop()) != 0:
                bad.append(f"{background.label} ended with {code}")
        return bad

    def show(self, words: tuple[str, ...]) -> None:
        line = " ".join("&" if word == "&" else shlex.quote(word) for word in words)
        print(f"\n$ impressions {line}", flush=True)


def free_address() -> str:
    """A loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
