"""Which directory a worker works in: the first of <dir>/worker-0, worker-1, ... nobody holds.

Two workers on one host need two stores; a worker that starts again finds the one it had, whole or
stale, and restores the rest from the topic. The lock ends with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
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
