"""Whether the caller of a request still waits for the answer: its deadline and its cancellation."""

from __future__ import annotations

import threading

from impressions.core.errors import NotReady
from serving.caller import Caller

_LONGEST_WAIT_S = 3600.0


class Deadline:
    """The deadline of one call."""

    def __init__(self, caller: Caller):
        self._caller = caller

    def remaining_s(self) -> float:
        """Seconds until the deadline; an hour where there is none."""
        remaining = self._caller.time_remaining()
        return _LONGEST_WAIT_S if remaining is None else min(remaining, _LONGEST_WAIT_S)

    def check(self) -> None:
        """See whether the caller still waits.

        Raises NotReady, reason `deadline_exceeded` or `cancelled`, if the caller is gone.
        """
        if self.remaining_s() <= 0:
            raise too_late()
        if not self._caller.is_active():
            raise NotReady("the caller has cancelled", reason="cancelled")

    def acquire(self, semaphore: threading.Semaphore) -> None:
        """Acquire the semaphore, at once if it is free, and wait no longer than the deadline.

        Raises NotReady as `check` does.
        """
        if semaphore.acquire(blocking=False):
            return
        while not semaphore.acquire(timeout=max(0.0, self.remaining_s())):
            self.check()


def too_late() -> NotReady:
    """The error of a call whose deadline has passed."""
    return NotReady("the deadline of the call has passed", reason="deadline_exceeded")
