"""A pid file that cannot lie: the process holds a lock on it for as long as it lives.

    with PidFile(path).claim() as claim:               # AlreadyRuns where another holds it
        process = Popen(..., pass_fds=[claim.fileno()])
        write_pid(claim, process.pid)

The lock (flock) belongs to the open file, which the started process inherits; the starter closes
its own copy. So the lock ends with the process, however that ends: a pid left behind by a kill, or
one that the system gave to another program since, is never mistaken for the process. Two starts at
once are distinguished by the same lock. The file itself stays; only its lock says anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class AlreadyRuns(Exception):
    """Another process holds the file."""


@dataclass(frozen=True)
class PidFile:
    """One file, one process at a time."""

    path: Path

    def claim(self) -> IO[str]:
        """The open file, empty and locked; the lock lives as long as any copy is open."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
        if not _lock(file):
            file.close()
            raise AlreadyRuns(self.path)
        file.truncate(0)
        return file

    def holder(self) -> int | None:
        """The pid of the process that holds the lock; None: no process does.

        0 where one is about to start and has not written its pid yet.
        """
        try:
            file = self.path.open("r+")
        except FileNotFoundError:
            return None
        with file:
            if _lock(file):
                return None
            with contextlib.suppress(ValueError):
                return int(file.read())
            return 0


def write_pid(claim: IO[str], pid: int) -> None:
    """Says who holds the lock from now on."""
    claim.seek(0)
    claim.write(f"{pid}\n")
    claim.flush()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
