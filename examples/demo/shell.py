"""Runs `impressions` the way a person would: as its own process, the command line shown first.

What a command prints goes to files below `<directory>/logs`; the last line of its result is shown
below it. `StepFailed` says which file holds the reason.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

from examples.demo.screen import Screen

COMMAND = [sys.executable, "-m", "impressions.cli.main"]
TAIL_LINES = 20
_END_S = 40


class StepFailed(Exception):
    """A command of the story exited with an error; `log` holds what it said."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Background:
    """A command that goes on; what it says goes to a file named after its label."""

    def __init__(self, shell: Shell, label: str, words: tuple[str, ...]):
        self.label, self._shell, self._words = label, shell, words
        self.log = shell.logs / f"{label}.log"
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
        self._spawn()

    def check(self) -> None:
        """Raises StepFailed if it has ended."""
        if (code := self._process.poll()) is not None:
            line = f"`impressions {shlex.join(self._words)}` has ended with {code}"
            raise StepFailed(line, self.log)

    def stop(self) -> int | None:
        """SIGTERM, and its exit code; None if it had to be killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def _spawn(self) -> None:
        self._shell.screen.line(f"  $ impressions {shlex.join(self._words)} &")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, *self._words],
                cwd=self._shell.directory,
                env=self._shell.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )


class Shell:
    """Commands of one demo directory, all with its own `impressions.toml`."""

    def __init__(self, directory: Path, screen: Screen):
        self.directory, self.screen = directory, screen
        self.logs = directory / "logs"
        self.logs.mkdir(exist_ok=True)
        self.environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
        self._backgrounds: list[Background] = []
        self._commands = 0

    def run(self, *words: str) -> str:
        """Run one command to its end; returns what it printed on stdout."""
        self._commands += 1
        name = "-".join([f"{self._commands:02}", *(w for w in words[:2] if w.isalpha())])
        out, err = self.logs / f"{name}.out", self.logs / f"{name}.err"
        with self.screen.command(f"impressions {shlex.join(words)}") as said:
            if code := self._code(words, out, err):
                line = f"`impressions {shlex.join(words)}` exited with {code}"
                raise StepFailed(line, err)
            text = out.read_text("utf-8") if out.exists() else ""
            said += text.replace(f"{self.directory}/", "").splitlines()[-1:]
        return text

    def _code(self, words: tuple[str, ...], out: Path, err: Path) -> int:
        with out.open("wb") as stdout, err.open("wb") as stderr:
            return subprocess.run(
                [*COMMAND, *words],
                cwd=self.directory, env=self.environment, stdout=stdout, stderr=stderr,
            ).returncode  # fmt: skip

    def background(self, label: str, *words: str) -> Background:
        """Start a command that goes on until `stop`."""
        started = Background(self, label, words)
        self._backgrounds.append(started)
        return started

    def stop(self) -> list[str]:
        """Stop everything that goes on, the last first; returns what did not end well."""
        bad = []
        while self._backgrounds:
            background = self._backgrounds.pop()
            if (code := background.stop()) != 0:
                bad.append(f"{background.label} ended with {code}: see {background.log}")
        return bad


def tail(log: Path) -> str:
    """The last lines of a file, under its name."""
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"--- {log}", *(lines[-TAIL_LINES:] or ["it is empty"])])


def free_address() -> str:
    """A loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
