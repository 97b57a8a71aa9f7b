"""Which directory a worker works in, and its member name in the consumer group.

    <dir>/worker-0, worker-1, ...       a worker holds the first one that no other worker holds
        lock                            locked while the process lives, however it ends
        incarnation                     a number, part of the member name
        partition=3                     the store of a partition (speed/partitions/opening.py)

Two workers on one host need two stores; a worker that starts again finds the one it had, current or
stale, and restores the rest from the topic.

The name belongs to the directory too: a worker that is killed and started again there is the same
static member of the group, and has its partitions at once. If that member has none and should have
some, the worker changes its name and joins as a new member.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from pathlib import Path

_DIRECTORIES = 64


class WorkerDirectory:
    """A directory that this process holds."""

    def __init__(self, path: Path, descriptor: int):
        self.path, self._descriptor = path, descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def hold_directory(parent: Path) -> WorkerDirectory:
    """Hold the first free one. Raises OSError if all are held or nothing can be written."""
    for number in range(_DIRECTORIES):
        path = parent / f"worker-{number}"
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return WorkerDirectory(path, descriptor)
    raise OSError(f"{_DIRECTORIES} workers hold all directories in {parent}")


def member_name(directory: Path) -> str:
    """The name of the group's static member that works in this directory."""
    path = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}-{directory.name}-{path}-{_incarnation(directory)}"


def forget_name(directory: Path) -> None:
    """Be a new member of the group from the next start on."""
    (directory / "incarnation").write_text(str(_incarnation(directory) + 1), "ascii")


def _incarnation(directory: Path) -> int:
    try:
        return int((directory / "incarnation").read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0
