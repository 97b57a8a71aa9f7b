"""How far a partition of the delta topic is known without a gap: where its next restore reads on.

Known are the records that this worker wrote and those of others that it has compared. In a gap lie
records of another worker. If that one owned the partition meanwhile, it may have written there what
this store does not hold, so a restore has to read the gap.
"""

from __future__ import annotations

from collections.abc import Iterable

Offsets = tuple[int, int]
"""[first, last + 1) of records in the delta topic."""


class DeltaPosition:
    """Of one partition: the ranges that are known after the first gap."""

    def __init__(self) -> None:
        self._after_gap: list[Offsets] = []

    def know(self, ranges: Iterable[Offsets]) -> None:
        """These [start, end) hold nothing that the store lacks, or will lack after its next
        write."""
        self._after_gap += ranges

    def advance(self, next_offset: int) -> int:
        """The first offset, from `next_offset` on, that is not known."""
        next_offset, self._after_gap = reached(next_offset, self._after_gap)
        return next_offset


def reached(next_offset: int, known: Iterable[Offsets]) -> tuple[int, list[Offsets]]:
    """How far is known without a gap, and the ranges after the first gap.

    Ranges that touch are joined: a gap may stay for as long as this worker lives.
    """
    after_gap: list[Offsets] = []
    for start, end in sorted(known):
        if start <= next_offset:
            next_offset = max(next_offset, end)
        elif after_gap and start <= after_gap[-1][1]:
            after_gap[-1] = after_gap[-1][0], max(after_gap[-1][1], end)
        else:
            after_gap.append((start, end))
    return next_offset, after_gap
