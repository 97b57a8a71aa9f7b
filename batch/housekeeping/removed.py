"""What one run removed, or would remove: by rule and place, with count and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch.housekeeping.agreed import Agreed
from impressions.terminal.report import Outcome
from impressions.terminal.units import human_bytes

_NAMED = 50  # of each rule and place; a record of the history is bounded

GENERATIONS = "old generations"
BRANCHES = "branches and tags that ended"
SNAPSHOTS = "snapshots"
FREED = "files of removed snapshots"
ORPHANS = "files of dead attempts"
ROWS = "rows beyond their time"
PUBLISHED = "old exported generations"
EXPORTS = "files of dead exports"
IMPORTS = "directories of dead imports"


@dataclass(frozen=True)
class Removed:
    """One rule in one place.

    Attributes:
        where: a table, or what the place is called.
        count: of refs, snapshots, files, directories; of `ROWS`, rows.
        size_bytes: of files that were deleted. Files of `ROWS` are, too, once the snapshots that
            name them are gone.
        names: each, with the reason where there is one.
    """

    rule: str
    where: str
    count: int
    size_bytes: int = 0
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "where": self.where,
            "count": self.count,
            "bytes": self.size_bytes,
            "names": list(self.names[:_NAMED]),
            "not_named": max(0, len(self.names) - _NAMED),
        }


def refs_removed(rule: str, where: str, why: Mapping[str, str]) -> Removed:
    names = tuple(f"{name}: {reason}" for name, reason in sorted(why.items()))
    return Removed(rule, where, len(why), 0, names)


def files_removed(rule: str, where: str, files: Iterable[tuple[str, int]]) -> Removed:
    """`files`: name and bytes of each."""
    listed = sorted(files)
    return Removed(
        rule, where, len(listed), sum(size for _, size in listed), tuple(name for name, _ in listed)
    )


def outcome_of(removed: Sequence[Removed], at: Agreed, *, dry_run: bool) -> Outcome:
    """Counts by rule, and all bytes; each rule and place in `removed`."""
    something = [one for one in removed if one.count]
    counts: Counter[str] = Counter()
    for one in removed:
        counts[one.rule.replace(" ", "_")] += one.count
        counts["bytes"] += 0 if one.rule == ROWS else one.size_bytes
    return Outcome(
        changed=bool(something) and not dry_run,
        counts=dict(counts),
        extra={"time": at.as_dict(), "removed": [one.as_dict() for one in something]},
    )


def said(outcome: Outcome) -> list[tuple[str, str]]:
    """What was removed, and how much of it where."""
    return [(one["rule"], _line(one)) for one in outcome.extra["removed"]]


def summary(outcome: Outcome, *, dry_run: bool) -> str:
    """For people: a line for each rule and place."""
    removed = outcome.extra["removed"]
    if not removed:
        return "nothing to do"
    head = "would remove" if dry_run else "removed"
    lines = [_line(one) for one in removed]
    return "\n".join([f"{head} {human_bytes(outcome.counts['bytes'])}", *lines])


def _line(one: Mapping[str, Any]) -> str:
    size = f", {human_bytes(one['bytes'])}" if one["bytes"] else ""
    return f"{one['where']}: {one['count']:,} {one['rule']}{size}"
