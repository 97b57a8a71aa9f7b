"""File descriptors: as many as the system gives, a few kept back, an honest word without any.

A connection, an SST file and a Kafka socket take one each, and the usual soft limit of 1,024 is
from another time: `raise_limit` lifts it when a process starts, and its children inherit it.
`Spare` holds some that nobody needs, to be lent to what must go on though all others are taken.
`exhausted` tells "too many open files" from damage, whichever library said it: a file that could
not be opened says nothing about the bytes in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator

from impressions.core.errors import ServiceError, causes

ENOUGH = 1 << 16
"""More than any process of ours needs; some libraries' cost grows with the limit."""
HINT = "raise the limit of open files (ulimit -n, LimitNOFILE=), then start this process again"
_ERRNOS = (errno.EMFILE, errno.ENFILE)
_TEXT = "too many open files"  # of both errnos, in RocksDB's own sentences too


class TooManyFiles(ServiceError):
    """This process, or this machine, has no descriptor left; nothing is damaged."""

    reason = "too_many_files"


def raise_limit(wanted: int = ENOUGH) -> int:
    """Raise the soft limit to `wanted`, or as far as the hard one allows; the limit that holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if most > soft:
        with contextlib.suppress(OSError, ValueError):  # a system may have a lower limit still
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return limit()


def limit() -> int:
    """How many descriptors this process may have."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def exhausted(error: BaseException) -> TooManyFiles | None:
    """What to raise instead of an error that, itself or by its causes, is a lack of descriptors;
    None for any other."""
    for cause in causes(error):
        if isinstance(cause, TooManyFiles):
            return cause
        of_system = isinstance(cause, OSError) and cause.errno in _ERRNOS
        if of_system or _TEXT in str(cause).lower():
            return TooManyFiles(
                f"no descriptor is left: this process may have {limit()}", hint=HINT
            )
    return None


class Spare:
    """Descriptors held back, from the first `refill` on. For one thread."""

    def __init__(self, count: int):
        self._count, self._held = count, list[int]()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Give them up for a block, then take as many again as there are."""
        self.close()
        try:
            yield
        finally:
            self.refill()

    def close(self) -> None:
        """Give them up."""
        while self._held:
            os.close(self._held.pop())

    def refill(self) -> None:
        """Take as many as are missing, or as there are."""
        with contextlib.suppress(OSError):
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
