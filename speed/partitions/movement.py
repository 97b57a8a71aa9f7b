"""When each partition last moved: what the watchdog looks at.

A partition moves when a flush of it is published, when it is seen to have nothing left to apply,
and while it is opened, with every record that its restore reads. A partition that stands still is
not hidden by others that move. While one is opened, nothing else can move and nothing else is
watched.
"""

from __future__ import annotations

from collections.abc import Iterable

from impressions.clock import monotonic_s


class Movement:
    """Of one partition. Called by the worker's loop and by the thread that restores it."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.moved()

    def moved(self) -> None:
        """The partition moved just now."""
        self._moved_s = monotonic_s()

    @property
    def still_s(self) -> float:
        """For how many seconds it has not moved."""
        return monotonic_s() - self._moved_s


class Movements:
    """Those of a worker that are watched now."""

    def __init__(self) -> None:
        self._watched: tuple[Movement, ...] = ()
        self._since_s = monotonic_s()

    def watch(self, movements: Iterable[Movement]) -> None:
        """From now on watch exactly these; each counts as moved just now."""
        self._since_s = monotonic_s()
        watched = tuple(movements)
        for movement in watched:
            movement.moved()
        self._watched = watched

    def idle_s(self) -> float:
        """Seconds for which there has been nothing to watch; 0 if there is something."""
        return 0.0 if self._watched else monotonic_s() - self._since_s

    def slowest(self) -> tuple[int, float] | None:
        """The partition that has stood still longest, and for how many seconds."""
        slowest = max(self._watched, key=lambda movement: movement.still_s, default=None)
        return None if slowest is None else (slowest.partition, slowest.still_s)
