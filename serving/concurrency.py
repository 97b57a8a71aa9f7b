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

from serving.deadline import Deadline
from serving.large_answers import LARGE_ENTRIES, LargeAnswers


class ConcurrencyLimit:
    """At most `threads` permits at the same time."""

    def __init__(self, threads: int):
        self.permits = threading.BoundedSemaphore(threads)
        self.large_answers = LargeAnswers()

    def permit(self, deadline: Deadline) -> Permit:
        """A permit, acquired when its context is entered, with a wait up to the deadline."""
        return Permit(self, deadline)


class Permit:
    """The permit of one request: a context, which releases it at its end."""

    def __init__(self, limit: ConcurrencyLimit, deadline: Deadline):
        self._limit, self._deadline, self._is_held = limit, deadline, False

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
        self._deadline.acquire(self._limit.permits)
        self._is_held = True
        try:
            self._deadline.check()
        except BaseException:  # the permit is released, whatever ends the wait for it
            self._release()
            raise

    def _release(self) -> None:
        """Harmless if nothing is held."""
        if self._is_held:
            self._is_held = False
            self._limit.permits.release()


_NOTHING = contextlib.nullcontext()
