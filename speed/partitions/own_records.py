"""Which records of a partition of the delta topic this worker wrote, by their offsets.

The worker's loop adds what the broker has acknowledged; the thread that reads the partition back
(speed/delta_reader.py) asks.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable

from speed.partitions.delta_position import Offsets

_REMEMBERED = 10_000
"""Ranges: many more than the reader can be late by. Those that touch are one."""


class OwnRecords:
    """Of one partition, the newest ones. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ranges: list[Offsets] = []

    def add(self, ranges: Iterable[Offsets]) -> None:
        """These [start, end) are this worker's; they lie after those that were added before."""
        with self._lock:
            for start, end in ranges:
                if self._ranges and self._ranges[-1][1] == start:
                    start, _ = self._ranges.pop()
                self._ranges.append((start, end))
            if len(self._ranges) > _REMEMBERED:
                del self._ranges[: _REMEMBERED // 2]

    def clear(self) -> None:
        with self._lock:
            self._ranges.clear()

    def __contains__(self, offset: int) -> bool:
        """Whether this worker wrote the record. Right once the flush it belongs to is over: the
        reader may see a record before the worker has its acknowledgement."""
        with self._lock:
            if not self._ranges:
                return False
            start, end = self._ranges[-1]
            if start <= offset < end:  # the reader is seldom late by more
                return True
            at = bisect_right(self._ranges, offset, key=lambda written: written[0]) - 1
            return at >= 0 and offset < self._ranges[at][1]
