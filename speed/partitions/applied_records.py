"""The last record of each recent flush of a partition, and the leader epoch they were read under.

What speed/truncation.py needs to see that the source was truncated: it reads these records again
when the leader epoch has changed. The worker's loop adds, a thread reads and forgets.
"""

from __future__ import annotations

from collections import deque

from impressions.kafka.last_record import LastRecord

NO_LEADER_EPOCH = -1
_REMEMBERED = 10_000
"""Flushes between two looks: many more than there are in five seconds."""


class AppliedRecords:
    """Of one partition.

    Attributes:
        leader_epoch: the one at the last look; all records before those kept are proven under it.
    """

    def __init__(self, last: LastRecord, leader_epoch: int = NO_LEADER_EPOCH):
        """`last` was compared with the source just now; `leader_epoch` was asked before that."""
        self._records = deque([last], _REMEMBERED)
        self.leader_epoch = leader_epoch

    def add(self, last: LastRecord) -> None:
        """A flush ended with this record."""
        self._records.append(last)

    def kept(self) -> list[LastRecord]:
        """A copy, the oldest first."""
        return list(self._records)

    def forget(self, count: int) -> None:
        """Drop the oldest ones: no leader has changed since. The newest one always stays."""
        for _ in range(min(count, len(self._records) - 1)):
            self._records.popleft()
