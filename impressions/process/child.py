"""Processes that belong to one another: a parent that keeps children running, and their end.

    parent    `Child`: starts `python -m <module>`, starts it again when it dies, after a pause that
              grows while it does not stay, and stops it
    child     reads its settings from the first line of standard input, which then stays open:
              when the parent is gone, even by SIGKILL, the child reads the end of file and stops

Children are started fresh, never forked: neither gRPC nor librdkafka survives a fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from impressions.clock import monotonic_s
from impressions.terminal import log

_STEADY_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0


class Child:
    """One place for a child: the process in it now, and when the next may start."""

    def __init__(self, kind: str, module: str, message: Mapping[str, Any], **log_fields: object):
        """Start `python -m module`, which receives `message`; `kind` is its name in the log."""
        self._kind, self._module, self._message = kind, module, json.dumps(message)
        self._log_fields = log_fields
        self._pause_s, self._restart_at_s = _FIRST_PAUSE_S, 0.0
        self._died = False
        self._spawn()

    def look(self) -> None:
        """Start it again if it has died and its pause is over."""
        code, now_s = self.process.poll(), monotonic_s()
        if code is None:
            return
        if not self._died:
            self._died = True
            if now_s - self._started_s > _STEADY_S:
                self._pause_s = _FIRST_PAUSE_S
            log.warning(
                f"{self._kind}-died",
                **self._log_fields,
                pid=self.process.pid,
                code=code,
                restart_in_s=self._pause_s,
            )
            self._restart_at_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        elif now_s >= self._restart_at_s:
            self._close_pipes()
            self._spawn()

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.terminate()

    def ends_by(self, give_up_s: float) -> bool:
        """Wait for its end; False if it had to be killed at `give_up_s`, a monotonic time."""
        try:
            self.process.wait(max(0.0, give_up_s - monotonic_s()))
            return True
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        finally:
            self._close_pipes()

    def _spawn(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the parent only, which forwards it
        )
        self._started_s, self._died = monotonic_s(), False
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it was stopped at once: `look` sees its end
            self.process.stdin.write(self._message.encode() + b"\n")
            self.process.stdin.flush()

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    pipe.close()


def received() -> Any:
    """In a child: what the parent said; None if it is gone already."""
    line = sys.stdin.buffer.readline()
    return json.loads(line) if line else None


def stop_with_parent(stopping: threading.Event) -> None:
    """Set the event when the parent is gone, too."""

    def wait() -> None:
        # The descriptor, not `sys.stdin`: a thread that holds its lock aborts the exit.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stopping.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
