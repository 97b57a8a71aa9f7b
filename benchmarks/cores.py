"""Which core works for whom: servers on the first, this process and its clients on the last.

Client and server must not take each other's time. Where the system cannot pin, or has one core,
nothing is pinned and `described` says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_PINS = hasattr(os, "sched_setaffinity")
_CORES = sorted(os.sched_getaffinity(0)) if _PINS else []
SERVER, CLIENT = (_CORES[0], _CORES[-1]) if len(_CORES) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process, and what it starts, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def all_for_this() -> Iterator[None]:
    """Every core for this process, while there is no server beside it."""
    if SERVER is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def starting_on(core: int | None) -> Iterator[None]:
    """What this thread starts meanwhile is kept on this core; None: on every core.

    A child takes the cores of the thread that starts it. (Code between fork and exec would be the
    other way, and ends in an abort now and then once gRPC has threads here.)
    """
    if not _PINS:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    if SERVER is None:
        return "not pinned: client and server share their cores, read ratios with care"
    return f"server pinned to core {SERVER}, everything else to core {CLIENT}"
