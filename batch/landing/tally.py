"""What the commits of a round did, in numbers that add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from batch.landing.part import Part

COUNTS = ("records", "read", "landed", "rejected", "repaired", "lost", "commits")


@dataclass(frozen=True)
class Tally:
    """What some commits did.

    Attributes:
        changed: whether raw has another snapshot.
        records: of Kafka that were read.   lost: that were given up.
        read, landed, rejected, repaired: impressions.
        commits: of raw, for records that were read or for a new valid-through.
        reasons: label -> rejected impressions; None where no range was landed.
        snapshots: table -> the newest snapshot.
    """

    changed: bool = False
    records: int = 0
    read: int = 0
    landed: int = 0
    rejected: int = 0
    repaired: int = 0
    lost: int = 0
    commits: int = 0
    reasons: Mapping[str, int] | None = None
    snapshots: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTS}

    def __add__(self, other: Tally) -> Tally:
        reasons = [one.reasons for one in (self, other) if one.reasons is not None]
        counts = other.counts
        return Tally(
            changed=self.changed or other.changed,
            **{name: n + counts[name] for name, n in self.counts.items()},
            reasons=summed(reasons) if reasons else None,
            snapshots={**self.snapshots, **other.snapshots},
        )


def of_parts(parts: Iterable[Part]) -> Tally:
    """Of ranges that were landed."""
    every = list(parts)
    reasons = summed(p.rejected for p in every)
    return Tally(
        records=sum(p.records for p in every),
        read=sum(p.read for p in every),
        landed=sum(p.valid for p in every),
        rejected=sum(reasons.values()),
        reasons=reasons,
    )


def summed(reasons: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by reason, the most frequent first."""
    total = Counter[str]()
    for one in reasons:
        total.update(one)
    return dict(total.most_common())
