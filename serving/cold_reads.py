"""Whether reads wait for the disk just now, because the store is larger than the memory.

rocksdict holds Python's lock while it reads one key, so a read that waits for the disk stops every
thread of the process; it releases the lock while it reads a list of keys, at the cost of a hand-off
between threads. Nobody can tell in advance whether a read will wait. But cold reads come in
numbers: after one that has waited, the reads of the next second release the lock.
"""

from __future__ import annotations

import resource
import threading

from impressions.clock import monotonic_s

_WAITED_S = 1e-3
"""A read that took longer may have waited for the disk; from memory it takes 10 to 100 us."""
_FOR_S = 1.0
_THREAD = getattr(resource, "RUSAGE_THREAD", None)


class ColdReads:
    """What the threads of a server have found."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._before = threading.local()

    def took(self, seconds: float) -> None:
        """Note a read of this thread."""
        if seconds > _WAITED_S and self._has_read_the_disk():
            self._until_s = monotonic_s() + _FOR_S

    @property
    def now(self) -> bool:
        """Whether a read may wait."""
        return self._until_s > 0 and monotonic_s() < self._until_s

    def _has_read_the_disk(self) -> bool:
        """Whether the kernel has read for this thread since the last time; True where it does not
        tell. A slow read may also be one whose thread had to wait for a core."""
        if _THREAD is None:
            return True
        blocks = resource.getrusage(_THREAD).ru_inblock
        before = getattr(self._before, "blocks", 0)
        self._before.blocks = blocks
        return blocks > before
