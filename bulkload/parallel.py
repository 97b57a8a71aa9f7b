"""The same work on several items at the same time, all of them or none.

Copying and hashing release Python's lock, so one file is hashed while another is written to the
disk. Two at a time: more gain little, and would take the cores of a server on the same host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

THREADS = 2

T = TypeVar("T")
R = TypeVar("R")
CheckStop = Callable[[], None]


class _Stopped(Exception):
    """Ends the work on an item, because another item has failed."""


def each(items: Iterable[T], work: Callable[[T, CheckStop], R]) -> list[R]:
    """The results, in order.

    Args:
        work: takes an item and a function that it must call from time to time. That function raises
            if another item has failed or the caller was interrupted; no further item is begun then.

    Raises:
        Exception: the failure of the first item, in their order, that failed by itself.
    """
    failed = threading.Event()

    def check_stop() -> None:
        if failed.is_set():
            raise _Stopped

    def run(item: T) -> R:
        try:
            check_stop()
            return work(item, check_stop)
        except BaseException:  # any failure stops the others; it is raised below
            failed.set()
            raise

    with ThreadPoolExecutor(THREADS, thread_name_prefix="load") as pool:
        futures = [pool.submit(run, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # Ctrl-C: threads end only where they call `check_stop`
            failed.set()
            raise
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, _Stopped):
            raise error
    return [future.result() for future in futures]
