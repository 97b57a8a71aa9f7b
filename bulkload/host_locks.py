"""The two locks of a host; the kernel releases a lock when its holder dies.

    load       one load or gc at a time; its holder may clear `loading/`
    pointer    held briefly: `CURRENT`, and which directory the name of a generation means

There are two, because a load takes hours and a rollback must not wait for it. A process that needs
both takes `load` first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Literal

from bulkload.files import local_disk
from impressions.core.errors import NotReady
from impressions.formats.generation_paths import HostPaths

Lock = Literal["load", "pointer"]

LOCK_WAIT_S = {"load": 1.0, "pointer": 10.0}
_POLL_S = 0.02


class HostLocks:
    """The locks of one data directory."""

    def __init__(self, paths: HostPaths):
        self._paths = paths

    @contextlib.contextmanager
    def hold(self, which: Lock) -> Iterator[None]:
        """Hold one of the two locks until the end of the block.

        Raises:
            NotReady: another process holds it.
        """
        path = self._paths.lock(which)
        with local_disk(path):
            self._paths.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            if not _acquired(descriptor, LOCK_WAIT_S[which]):
                holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
                raise NotReady(
                    f"{path}: held by another bulkload (process {holder or 'unknown'})",
                    hint="wait until it has ended, then run the same line again",
                    reason="busy",
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_loading(self) -> bool:
        """Whether a load or gc is running."""
        try:
            descriptor = os.open(self._paths.lock("load"), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _acquired(descriptor, 0.0)
        finally:
            os.close(descriptor)


def _acquired(descriptor: int, wait_s: float) -> bool:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(_POLL_S)
