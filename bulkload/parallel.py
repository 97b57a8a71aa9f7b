"""The same work for several things at once, whole or not at all.

Copying and hashing leave the interpreter to others, so one file is hashed while another reaches the
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
GoOn = Callable[[], None]


class _GivenUp(Exception):
    """Ends work that is pointless, because other work has failed."""


def each(items: Iterable[T], work: Callable[[T, GoOn], R]) -> list[R]:
    """The results, in order.

    Args:
        work: takes an item and a function to call now and then, which raises when another item has
            failed or the caller was interrupted; no further item is begun then.

    Raises:
        Exception: the failure of the first item, in their order, that failed by itself.
    """
    failed = threading.Event()

    def go_on() -> None:
        if failed.is_set():
            raise _GivenUp

    def run(item: T) -> R:
        try:
            go_on()
            return work(item, go_on)
        except BaseException:  # the others give up for any failure; it is raised below
            failed.set()
            raise

    with ThreadPoolExecutor(THREADS, thread_name_prefix="load") as pool:
        futures = [pool.submit(run, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # Ctrl-C: threads end only where they ask `go_on`
            failed.set()
            raise
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, _GivenUp):
            raise error
    return [future.result() for future in futures]
