"""A process that belongs to no terminal: started, found again, stopped, by name.

    <dir>/<name>.pid     locked by the process for as long as it lives (pid_file); emptied by a stop
    <dir>/<name>.log     what it says, output and errors; a start empties it

So three things can be distinguished: it runs, it was stopped, or it died by itself. Only a process
that holds the lock of its own file is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from impressions.clock import monotonic_s
from impressions.local.pid_file import PidFile, write_pid

_POLL_S = 0.05
_KILL_S = 10.0

_children: dict[int, subprocess.Popen[bytes]] = {}  # started by this process: to be reaped by it


@dataclass(frozen=True)
class Detached:
    """The place of one process. Holds no state: every question is asked of the files."""

    directory: Path
    name: str

    @property
    def pid_file(self) -> PidFile:
        return PidFile(self.directory / f"{self.name}.pid")

    @property
    def log_file(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Of the process that runs; None: none does."""
        return self.pid_file.holder() or None

    def died(self) -> str | None:
        """The last line of one that ended though nobody stopped it; None where none did."""
        with contextlib.suppress(FileNotFoundError):
            if self.pid_file.holder() is None and self.pid_file.path.read_text().strip():
                return last_line(self.log_file)
        return None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Starts it and returns its pid; AlreadyRuns where one does."""
        with self.pid_file.claim() as claim:
            return self.spawn(claim, command, environment).pid

    def spawn(
        self,
        claim: IO[str],
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """The same for who has claimed the place already, and lets go of `claim` afterwards."""
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                pass_fds=[claim.fileno()],
            )
        write_pid(claim, process.pid)
        _children[process.pid] = process
        return process

    def stop(self, timeout_s: float) -> bool:
        """Asks it to end and waits; False if it had to be killed after `timeout_s`."""
        in_time = self.end(signal.SIGTERM, timeout_s)
        if not in_time:
            self.end(signal.SIGKILL, _KILL_S)
        self.forget()
        return in_time

    def end(self, number: signal.Signals, timeout_s: float) -> bool:
        """Sends a signal and waits; whether none runs then."""
        pid = self.pid
        if pid is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline_s = monotonic_s() + timeout_s
        while self.pid_file.holder() is not None:
            if monotonic_s() > deadline_s:
                return False
            time.sleep(_POLL_S)
        if child := _children.pop(pid, None):
            child.wait()
        return True

    def forget(self) -> None:
        """No process is expected here from now on."""
        self.pid_file.path.unlink(missing_ok=True)


def last_line(log: Path) -> str:
    """What a process said last."""
    with contextlib.suppress(FileNotFoundError):
        lines = [x for x in log.read_text("utf-8", errors="replace").splitlines() if x.strip()]
        if lines:
            return lines[-1].strip()
    return "it said nothing"
