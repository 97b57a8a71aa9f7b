"""Which directory a worker works in, and who it is to its group.

The directory is the first of <dir>/worker-0, worker-1, ... that nobody holds.

Two workers on one host need two stores; a worker that starts again finds the one it had, whole or
stale, and restores the rest from the topic. The lock ends with the process, however it ends.

The name belongs to the directory too: a worker that is killed and started again there takes its
place in the group at once, with the partitions it had. Where that place holds none and should, the
worker forgets its name and joins as somebody new.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from pathlib import Path

_PLACES = 64


class Place:
    """A directory held by this process."""

    def __init__(self, path: Path, descriptor: int):
        self.path, self._descriptor = path, descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def take_place(directory: Path) -> Place:
    """Hold the first free place. Raises OSError where all are held or nothing can be written."""
    for number in range(_PLACES):
        path = directory / f"worker-{number}"
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return Place(path, descriptor)
    raise OSError(f"{_PLACES} workers hold every place in {directory}")


def member_name(directory: Path) -> str:
    """The name of the group's static member that works in this directory."""
    path = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}-{directory.name}-{path}-{_incarnation(directory)}"


def forget_name(directory: Path) -> None:
    """Be somebody new to the group from the next start on."""
    (directory / "incarnation").write_text(str(_incarnation(directory) + 1), "ascii")


def _incarnation(directory: Path) -> int:
    try:
        return int((directory / "incarnation").read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0
