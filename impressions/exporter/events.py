"""Events of the history, counted by kind since the exporter began: each record once.

The history forgets old runs, so a count over what it holds would fall; a counter must not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from impressions.history.run_record import HEALED, RunRecord


class EventCounts:
    """Counts by kind; HEALED is there from the beginning."""

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter({HEALED: 0})
        self._seen: set[tuple[str, str, int]] = set()

    def add(self, runs: Iterable[RunRecord]) -> None:
        """All runs that are kept; those that were counted before are not counted again."""
        seen = set()
        for run in runs:
            key = (run.job, run.run_id, run.started_ms)
            seen.add(key)
            if key not in self._seen:
                self.by_kind.update(event.kind for event in run.events)
        self._seen = seen
