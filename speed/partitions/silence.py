"""How long a partition has waited for a record that the source seems to have."""

from __future__ import annotations

from impressions.clock import monotonic_s

_LONG_S = 3.0


class Silence:
    """Of one partition."""

    def __init__(self) -> None:
        self._offset, self._since_s = -1, 0.0

    def is_long(self, next_offset: int) -> bool:
        """Whether the record at `next_offset` has been awaited for long. True once; then the wait
        begins again."""
        waited_s = monotonic_s() - self._since_s
        same = self._offset == next_offset
        if same and waited_s < _LONG_S:
            return False
        self._offset, self._since_s = next_offset, monotonic_s()
        return same
