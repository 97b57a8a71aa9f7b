"""What files hold, counted while they are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from batch.mapping.judge import Judged
from impressions.core.event import Reason


@dataclass
class Survey:
    """Counts of judged rows.

    Attributes:
        read, valid: rows.
        rejected: label of the reason -> rows.
        rejected_by_source: source -> rejected rows.
        valid_by_source, oldest_by_source: source -> valid rows; ingest time of the oldest.
        newest_ingest_ms: of valid rows; None where there are none.
        defaulted: mapped optional target -> rows with a null there.
    """

    read: int = 0
    valid: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_by_source: Counter[str] = field(default_factory=Counter)
    valid_by_source: Counter[str] = field(default_factory=Counter)
    oldest_by_source: dict[str, int] = field(default_factory=dict)
    newest_ingest_ms: int | None = None
    defaulted: Counter[str] = field(default_factory=Counter)

    @property
    def defaults_taken(self) -> dict[str, int]:
        """Optional target -> rows for which its default stands in, where there are any."""
        return {target: count for target, count in self.defaulted.items() if count}

    def add(self, judged: Judged, source: str) -> None:
        """Counts some rows of a file."""
        codes, counts = np.unique(judged.reason, return_counts=True)
        reasons = {Reason(int(code)): int(n) for code, n in zip(codes, counts, strict=True)}
        valid = reasons.pop(Reason.OK, 0)
        self.read += len(judged)
        self.valid += valid
        self.rejected.update({reason.label: n for reason, n in reasons.items()})
        if reasons:
            self.rejected_by_source[source] += sum(reasons.values())
        self.defaulted.update(judged.defaulted)
        if valid:
            ingest_ms = judged.ingest_ms[judged.reason == Reason.OK]
            newest_ms = int(ingest_ms.max())
            self.newest_ingest_ms = max(self.newest_ingest_ms or newest_ms, newest_ms)
            self.valid_by_source[source] += valid
            self._older({source: int(ingest_ms.min())})

    def _older(self, oldest_ms: Mapping[str, int]) -> None:
        mine = self.oldest_by_source
        self.oldest_by_source = mine | {s: min(ms, mine.get(s, ms)) for s, ms in oldest_ms.items()}


def summed(surveys: Iterable[Survey]) -> Survey:
    """Several as one; the most frequent reasons first."""
    total = Survey()
    for one in surveys:
        total.read += one.read
        total.valid += one.valid
        for name in ("rejected", "rejected_by_source", "valid_by_source", "defaulted"):
            getattr(total, name).update(getattr(one, name))
        total._older(one.oldest_by_source)
        if one.newest_ingest_ms is not None:
            newest_ms = one.newest_ingest_ms
            total.newest_ingest_ms = max(total.newest_ingest_ms or newest_ms, newest_ms)
    total.rejected = Counter(dict(total.rejected.most_common()))
    return total
