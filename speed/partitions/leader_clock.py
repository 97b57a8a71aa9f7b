"""The clock of the broker that leads a partition, known from its acknowledgements.

The broker stamps the records of the delta topic, and each heartbeat is one. A worker that has
published nothing yet does not know this clock.
"""

from __future__ import annotations

from impressions.clock import monotonic_s

_FRESH_S = 5.0


class LeaderClock:
    """Of one partition."""

    def __init__(self) -> None:
        self._stamp_ms, self._at_s = 0, float("-inf")

    def stamped(self, stamp_ms: int) -> None:
        """The broker stamped a record just now."""
        self._stamp_ms, self._at_s = stamp_ms, monotonic_s()

    def now_ms(self) -> int | None:
        """What the broker's clock shows now; None if it stamped nothing for some seconds."""
        passed_s = monotonic_s() - self._at_s
        return self._stamp_ms + int(passed_s * 1000) if passed_s < _FRESH_S else None
