"""When each partition last moved: what the watchdog looks at.

A partition moves when a flush of it is published, when it is seen to have nothing left to apply,
and while it is opened with every record that its restore reads. One that stands still is not hidden
by others that move. While one is opened, nothing else can move and nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

from impressions.clock import monotonic_s


class Progress:
    """Fed by the worker's loop and by restoring threads, asked by the watchdog."""

    def __init__(self) -> None:
        self._moved_s: dict[int, float] = {}
        self._since_s = monotonic_s()

    def watch(self, partitions: Iterable[int]) -> None:
        """From now on look at exactly these; each has moved just now."""
        self._since_s = monotonic_s()
        self._moved_s = dict.fromkeys(partitions, self._since_s)

    def moved(self, partition: int) -> None:
        """It did; one that is not looked at any more is left out."""
        watched = self._moved_s
        if partition in watched:
            watched[partition] = monotonic_s()

    def idle_s(self) -> float:
        """Seconds since there has been nothing to look at; 0 where there is something."""
        return 0.0 if self._moved_s else monotonic_s() - self._since_s

    def slowest(self) -> tuple[int, float] | None:
        """The partition that has stood still longest, and for how many seconds."""
        if not self._moved_s:
            return None
        partition, moved_s = min(self._moved_s.items(), key=lambda item: item[1])
        return partition, monotonic_s() - moved_s
