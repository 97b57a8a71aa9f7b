"""Large answers are computed one at a time; a few more may wait, and all others are refused.

However many threads there are, each large answer would occupy one for as long as a hundred other
requests need.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from impressions.core.errors import NotReady
from serving.deadline import Deadline

LARGE_ENTRIES = 10_000
"""An answer that is computed from more entries than this is large."""
_MAX_HELD = 8


class LargeAnswers:
    """The one slot for a large answer, and the bounded queue for it."""

    def __init__(self) -> None:
        self._slot, self._lock = threading.BoundedSemaphore(1), threading.Lock()
        self.held = 0
        """Large answers that are computed or wait."""

    @contextlib.contextmanager
    def slot(self, deadline: Deadline) -> Iterator[None]:
        """Hold the slot until the end of the block; waits for it no longer than the deadline.

        Raises:
            NotReady: the queue is full, or the caller is gone (see `Deadline.check`).
        """
        with self._queued():
            deadline.acquire(self._slot)
            try:
                yield
            finally:
                self._slot.release()

    @contextlib.contextmanager
    def _queued(self) -> Iterator[None]:
        with self._lock:
            if self.held >= _MAX_HELD:
                raise NotReady(
                    f"full: {_MAX_HELD} answers of more than {LARGE_ENTRIES:,} entries are "
                    "computed or wait already, the limit",
                    hint="retry later, or choose titles",
                    reason="overloaded",
                )
            self.held += 1
        try:
            yield
        finally:
            with self._lock:
                self.held -= 1
