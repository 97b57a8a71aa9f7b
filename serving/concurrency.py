"""The concurrency limit: how many requests are computed at the same time, each with a permit.

    ConcurrencyLimit   gives out the permits of one server
    Permit             the permit of one request, which asks it before each key whether to go on,
                       and before a large answer (serving/large_answers.py)

All other requests in flight wait for a permit, no longer than their deadline.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from serving.acceptor import AcceptorPriority
from serving.deadline import Deadline
from serving.large_answers import LARGE_ENTRIES, LargeAnswers

_FEW = 2


class ConcurrencyLimit:
    """At most `threads` permits at the same time, and only a few while the acceptor is busy.

    A few keep a core busy. More would only delay the acceptor: it gets the CPU when all threads
    that hold a permit have paused.
    """

    def __init__(self, threads: int, acceptor: AcceptorPriority):
        self._permits = threading.BoundedSemaphore(threads)
        self._few, self._acceptor = threading.BoundedSemaphore(min(_FEW, threads)), acceptor
        self.large_answers = LargeAnswers()

    def permit(self, deadline: Deadline) -> Permit:
        """A permit, acquired when its context is entered, with a wait up to the deadline."""
        return Permit(self, deadline)

    def acquire(self, held: list[threading.Semaphore], deadline: Deadline) -> None:
        """Acquire what a permit needs, and note it in `held`: the caller must release all of that,
        also after an error."""
        deadline.acquire(self._permits)
        held.append(self._permits)
        if self._acceptor.busy:
            deadline.acquire(self._few)
            held.append(self._few)


class Permit:
    """The permit of one request: a context, which releases it at its end."""

    def __init__(self, limit: ConcurrencyLimit, deadline: Deadline):
        self._limit, self._deadline = limit, deadline
        self._held: list[threading.Semaphore] = []

    def __enter__(self) -> Permit:
        self._acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def check(self) -> None:
        """Whether to go on; see `Deadline.check`."""
        self._deadline.check()

    def computing(self, entries: int) -> contextlib.AbstractContextManager[None]:
        """A context around the computing of an answer from so many entries."""
        return _NOTHING if entries <= LARGE_ENTRIES else self._computing_large()

    @contextlib.contextmanager
    def _computing_large(self) -> Iterator[None]:
        """Release the permit, wait until no other large answer is computed, acquire it again.

        Raises:
            NotReady: as many large answers wait already as may.
        """
        self._release()
        with self._limit.large_answers.slot(self._deadline):
            self._acquire()
            yield

    def _acquire(self) -> None:
        """Wait for the permit, then see whether to go on; see `Deadline.check`."""
        try:
            self._limit.acquire(self._held, self._deadline)
            self._deadline.check()
        except BaseException:  # the permit is released, whatever ends the wait for it
            self._release()
            raise

    def _release(self) -> None:
        """Harmless if nothing is held."""
        while self._held:
            self._held.pop().release()


_NOTHING = contextlib.nullcontext()
