"""Who computes, and when: turns, the pause for the door, deadlines, one large answer at a time.

Door       gives the thread that takes calls its time: while many arrive, the work pauses for it
Deadline   whether somebody still waits for the answer
Work       how many requests are computed on at the same time; the others in flight wait for a
           turn, no longer than their deadline
Turn       one request's: asked between keys whether to go on, and before a large answer
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from time import perf_counter, sleep

import grpc

from impressions.core.errors import NotReady

_LONGEST_WAIT_S = 3600.0

_TAKING_A_CALL_S = 65e-6  # to take a call and refuse it, in CPU time
_QUEUED = 1.6  # in proportion, while calls wait at the door: else the queue would never end
_BACK_TO_BACK_S = 130e-6  # calls that follow each other faster were waiting at the door
_CLOSE_S = 1e-3  # what does not even leave a millisecond between two calls is a flood
_LONGEST_PAUSE_S = 5e-3
_MOMENT_S = 10e-3
_FEW = 2

LARGE_ENTRIES = 10_000
_LARGE_IN_LINE = 8


class Door:
    """Time for the one thread that takes calls, and refuses them, while the server is crowded.

    It competes with the threads that compute for Python's lock, three times per call, and would
    lose: calls would wait, unseen, in gRPC's own queue, answered late and refused later. So while
    calls arrive at a crowded pool the others pause, as long as taking those calls needs.
    """

    def __init__(self) -> None:
        self._until_s = self._arrived_s = 0.0
        self.flooded = False
        """Whether calls arrive so close to each other that taking them must be cheap."""

    def arrived(self) -> None:
        """A call has arrived; for the thread that takes calls."""
        now_s = perf_counter()
        after_s, self._arrived_s = now_s - self._arrived_s, now_s
        self.flooded = after_s < _CLOSE_S
        taking_s = _TAKING_A_CALL_S * (_QUEUED if after_s < _BACK_TO_BACK_S else 1)
        until_s = max(now_s, self._until_s) + taking_s
        self._until_s = min(until_s, now_s + _LONGEST_PAUSE_S)

    @property
    def busy(self) -> bool:
        """Whether calls were arriving a moment ago."""
        return perf_counter() < self._until_s + _MOMENT_S

    def pause(self) -> None:
        """Let the thread at the door go first, for a bounded time."""
        end_s = perf_counter() + _LONGEST_PAUSE_S
        while (left_s := min(self._until_s, end_s) - perf_counter()) > 0:
            sleep(left_s)


class Deadline:
    """Whether somebody still waits for an answer."""

    def __init__(self, context: grpc.ServicerContext, door: Door):
        self._context, self._door = context, door

    def remaining_s(self) -> float:
        """Seconds until the deadline; an hour where there is none."""
        remaining = self._context.time_remaining()
        return _LONGEST_WAIT_S if remaining is None else min(remaining, _LONGEST_WAIT_S)

    def check(self) -> None:
        """Give way to the door, then see whether to go on.

        Raises NotReady, reason `deadline_exceeded` or `cancelled`, when the caller is gone.
        """
        self._door.pause()
        if self.remaining_s() <= 0:
            raise NotReady("the deadline of the call has passed", reason="deadline_exceeded")
        if not self._context.is_active():
            raise NotReady("the caller has cancelled", reason="cancelled")


class Work:
    """Turns to compute: at most `threads` at the same time, and few while the door is busy.

    A few keep a core busy. More would only delay the door: a pause works once all take it.

    Large answers are computed one at a time, however many threads there are: each would hold a turn
    for as long as a hundred others. While one waits for the other it gives its turn back.
    """

    def __init__(self, threads: int, door: Door):
        self._turns = threading.BoundedSemaphore(threads)
        self._few, self._door = threading.BoundedSemaphore(min(_FEW, threads)), door
        self._large, self._in_line = threading.BoundedSemaphore(1), 0
        self._lock = threading.Lock()

    def turn(self, deadline: Deadline) -> Turn:
        """A turn, taken when entered: waits no longer than the deadline."""
        return Turn(self, deadline)

    @contextlib.contextmanager
    def large(self, turn: Turn, deadline: Deadline) -> Iterator[None]:
        """Give the turn back, wait until no other large answer is computed, take a turn again.

        Raises:
            NotReady: as many wait already as may.
        """
        turn.give_back()
        with self._line():
            _take(self._large, deadline)
            try:
                turn.take()
                yield
            finally:
                self._large.release()

    def take(self, held: list[threading.Semaphore], deadline: Deadline) -> None:
        """Take what a turn needs; what is in `held` must be released, also after an error."""
        _take(self._turns, deadline)
        held.append(self._turns)
        if self._door.busy:
            _take(self._few, deadline)
            held.append(self._few)

    @contextlib.contextmanager
    def _line(self) -> Iterator[None]:
        with self._lock:
            if self._in_line >= _LARGE_IN_LINE:
                raise NotReady(
                    f"full: {_LARGE_IN_LINE} answers of more than {LARGE_ENTRIES:,} entries are "
                    "computed or wait already, the limit",
                    hint="retry later, or choose titles",
                    reason="overloaded",
                )
            self._in_line += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_line -= 1


class Turn:
    """The turn of one request: a context, given back at its end."""

    def __init__(self, work: Work, deadline: Deadline):
        self._work, self._deadline = work, deadline
        self._held: list[threading.Semaphore] = []

    def __enter__(self) -> Turn:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> None:
        """Wait for the turn, then see whether to go on; see `Deadline.check`."""
        try:
            self._work.take(self._held, self._deadline)
            self._deadline.check()
        except BaseException:  # a turn is given back, whatever ends the wait for it
            self.give_back()
            raise

    def give_back(self) -> None:
        """Let another have the turn; harmless twice."""
        while self._held:
            self._held.pop().release()

    def check(self) -> None:
        """Whether to go on; see `Deadline.check`."""
        self._deadline.check()

    def of(self, entries: int) -> contextlib.AbstractContextManager[None]:
        """Around the computing of an answer from so many entries."""
        if entries <= LARGE_ENTRIES:
            return _NOTHING
        return self._work.large(self, self._deadline)


_NOTHING = contextlib.nullcontext()


def _take(turns: threading.Semaphore, deadline: Deadline) -> None:
    """Acquire, waiting no longer than the deadline; never blocks where one is free."""
    if turns.acquire(blocking=False):
        return
    while not turns.acquire(timeout=max(0.0, deadline.remaining_s())):
        deadline.check()
