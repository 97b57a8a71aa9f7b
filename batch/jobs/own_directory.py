"""A directory in `<home>/tmp` that is a job's own for as long as it lives.

The job holds a lock on it, which the system ends with the process. So one is of a dead job if
nobody holds its lock; no clock decides that alone. It is left for some time all the same, for disks
that several hosts share without sharing locks.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def made(home: Path, kind: str) -> Iterator[Path]:
    """A new one; it goes with the end of the block. `kind`: begins its name."""
    parent = home / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    new = tempfile.TemporaryDirectory(prefix=f"{kind}-", dir=parent)
    with new as directory, _locked(Path(directory), fcntl.LOCK_EX):
        yield Path(directory)


def of_dead(home: Path, kind: str, until_ms: int) -> list[Path]:
    """Those whose job was killed, and in which nothing was written after `until_ms`."""
    found = sorted((home / "tmp").glob(f"{kind}-*"))
    return [path for path in found if _is_free(path) and _newest_ms(path) <= until_ms]


def _newest_ms(directory: Path) -> int:
    """When something in it was changed last."""
    return max((said.st_mtime_ns // 1_000_000 for said in stats(directory)), default=0)


def stats(directory: Path) -> Iterator[os.stat_result]:
    """Of it and of all that is in it; without what just went."""
    for at, names, files in os.walk(directory):
        for name in ("", *names, *files):
            with suppress(FileNotFoundError):
                yield os.lstat(os.path.join(at, name) if name else at)


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[bool]:
    """Whether its lock is held; who only asks (LOCK_NB) does not wait for it, and holds it for so
    short a time that its job can."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, how)
        except OSError:  # held, or a disk without locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _is_free(directory: Path) -> bool:
    try:
        with _locked(directory, fcntl.LOCK_SH | fcntl.LOCK_NB) as is_free:
            return is_free
    except OSError:  # it just went, or is no directory of ours
        return False
