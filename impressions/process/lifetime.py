"""The two ends of a process of ours: the signal that comes too early, and the leaving.

    starting, started
             around the start of a server. Its thousand modules stay, but the collector of cycles
             would walk through them again and again while they are loaded, and later stop every
             thread for 60 ms or more whenever it looks at all objects
    begin    first thing in `main`. A service that is asked to stop while it is still importing has
             nothing to finish: it exits 0 at once. As process 1 of a container a program without
             a handler would not even see the signal, so there every program gets one.
    leave    as `sys.exit`, for the last line of `main`.

Python's own end takes its interpreter apart while threads of C++ libraries may still be inside it.
Arrow reads a CSV ahead in a thread of its own, through our stream, and offers no call that waits
for it; such a thread then aborts a process that had done everything right ("terminate called
without an active exception", or "PyGILState_Release: thread state must be current"). So when all
that is registered for the end has run, the process ends by `_exit`, and nothing is taken apart.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_KILLED = 128 + signal.SIGTERM
_FIRST_PROCESS = 1

_code = 1  # of a process that ends by an exception that nobody catches


def begin(*, service: bool = False) -> None:
    """Call it before anything else is registered with `atexit`: what is registered first runs last.

    Args:
        service: it runs until it is asked to stop, and then exits 0.
    """
    atexit.register(_end)
    if service or os.getpid() == _FIRST_PROCESS:
        code = 0 if service else _KILLED

        def stop(number: int, frame: FrameType | None) -> None:
            os._exit(code)

        signal.signal(signal.SIGTERM, stop)


def starting() -> None:
    """No cycles are collected until `started`, which must follow."""
    gc.disable()


def started() -> None:
    """Cycles are collected from now on, among what is made from now on."""
    gc.freeze()
    gc.enable()


def leave(code: int) -> NoReturn:
    """Ends the program with this code, once what is registered with `atexit` has run."""
    global _code
    _code = code
    sys.exit(code)


def _end() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Closed, or nobody reads it: the code says what became of the work.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(_code)
