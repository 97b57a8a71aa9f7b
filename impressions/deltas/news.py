"""News of the copy: the follower tells every reader at once that it has written something.

A reader has a named pipe, made when it starts, and waits for a byte in it; the follower writes one
into each after each write to the store. It says nothing else, and may be lost: a reader looks at
the copy every so often anyway, and a follower waits for nobody. So waiting costs nothing while
nothing is written, and a new block is looked for as soon as it is there.

    <home>/deltas/news/<pid>-<anything>      a pipe for each reader

A pipe gets its name when its reader listens already, so one that nobody reads is of a process that
has ended: the follower removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from pathlib import Path

_TAKE_BYTES = 64 << 10


class News:
    """A reader's side. Not for several threads at once.

    Args:
        path: of its pipe; nothing else uses this name.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f".{path.name}")
        made.unlink(missing_ok=True)
        os.mkfifo(made, 0o600)
        # Open for writing as well: else it reads as ended whenever no follower has it open.
        self._pipe = os.open(made, os.O_RDWR | os.O_NONBLOCK)
        made.rename(path)

    def wait(self, at_most_s: float) -> bool:
        """Wait for news; False if there were none for so long."""
        if not select.select([self._pipe], [], [], at_most_s)[0]:
            return False
        os.read(self._pipe, _TAKE_BYTES)
        return True

    def tell(self) -> None:
        """End a wait, as the follower does."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._pipe, b".")

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._pipe)


def tell_all(directory: Path) -> int:
    """The follower's side: tell every reader that has a pipe here; returns how many there are."""
    told = 0
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            told += not name.startswith(".") and _tell(directory / name)
    return told


def _tell(path: Path) -> bool:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it any more
            path.unlink(missing_ok=True)
        return False
    with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full of news, or just closed
        os.write(pipe, b".")
    os.close(pipe)
    return True
