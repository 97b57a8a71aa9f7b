"""Somebody says that a finding is well: who, when and why, and what exactly was accepted.

An acceptance holds for the segment, the measure and the days of its finding, as long as what is
found there stays within a tenth of what was accepted: should the day get worse, it is a finding
again. It is one property of the table and of the commit that adds it:

    impressions.accepted.<finding's id>    JSON of `Acceptance`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from batch.quality.findings import Finding

PREFIX = "impressions.accepted."
_MARGIN = 0.1


@dataclass(frozen=True)
class Acceptance:
    """Days as in `Finding`; `low`, `high`: the values that were accepted."""

    id: str
    day: int
    last_day: int
    segment: str
    measure: str
    low: float
    high: float
    sentence: str
    reason: str
    by: str
    at_ms: int

    def covers(self, finding: Finding) -> bool:
        """Whether it is of these days, and no worse."""
        margin = _MARGIN * max(abs(self.low), abs(self.high))
        return (
            (self.segment, self.measure) == (finding.segment.key, finding.measure)
            and self.day <= finding.day
            and finding.last_day <= self.last_day
            and self.low - margin <= finding.low
            and finding.high <= self.high + margin
        )

    @property
    def property(self) -> dict[str, str]:
        return {PREFIX + self.id: json.dumps(asdict(self), sort_keys=True)}


def accept(finding: Finding, reason: str, by: str, at_ms: int) -> Acceptance:
    """Of one finding, with all its days."""
    return Acceptance(
        finding.id, finding.day, finding.last_day, finding.segment.key, finding.measure,
        finding.low, finding.high, finding.sentence, reason, by, at_ms,
    )  # fmt: skip


def acceptances(properties: Mapping[str, str]) -> list[Acceptance]:
    """Those among a table's properties, by day."""
    said = [text for name, text in properties.items() if name.startswith(PREFIX)]
    return sorted((Acceptance(**json.loads(text)) for text in said), key=lambda one: one.id)


def covered(finding: Finding, accepted: Iterable[Acceptance]) -> bool:
    return any(one.covers(finding) for one in accepted)
