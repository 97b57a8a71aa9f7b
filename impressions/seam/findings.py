"""What a comparison found: one shape for `--json`, messages and the record on the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, groupby

from impressions.core.slot import format_utc
from impressions.seam.comparable import Skip
from impressions.seam.difference import Difference

SHOWN = 20
"""Differences that are named; the others are counted."""


@dataclass(frozen=True)
class Findings:
    """A comparison of the generation `new` with the active one, `old`.

    Attributes:
        old: None if none was active.
        query_ms: when both were asked; None if they were not comparable at all.
        seed: of the sample.
        planned: profiles of the sample; fewer are `compared` if time ran out, or if some could not
            be read.
        differing: profiles that differ.   values: numbers that differ.
        skipped: what was not compared, and why; empty if every shard was.
        differences: the first `SHOWN` of `values`.
        seconds: how long it took.
        accepted: why a person let the swap happen in spite of differences.
    """

    old: str | None
    new: str
    query_ms: int | None
    seed: int
    planned: int
    compared: int
    differing: int
    values: int
    skipped: tuple[Skip, ...]
    differences: tuple[Difference, ...]
    seconds: float
    accepted: str | None = None

    def lines(self) -> list[str]:
        """The same for people: the counts, then what was left out, then what differs; none where
        there was nothing to compare with."""
        if self.old is None:
            return []
        lines = [self._counts()]
        lines += [f"  not compared: {skip}" for skip in self.skipped]
        lines += [f"  {difference}" for difference in self.differences]
        if (more := self.values - len(self.differences)) > 0:
            lines.append(f"  and {more} more values")
        return lines

    def _counts(self) -> str:
        if self.query_ms is None or not self.planned:
            return f"seam: nothing compared with {self.old}"
        return (
            f"seam: {self.compared} of {self.planned} profiles compared with {self.old}, "
            f"{self.differing} differ, asked for {format_utc(self.query_ms)} "
            f"({self.seconds:.1f} s, seed {self.seed})"
        )


def not_compared(old: str | None, new: str, seed: int, skip: Skip, seconds: float) -> Findings:
    """The findings where nothing could be compared."""
    return Findings(old, new, None, seed, 0, 0, 0, 0, (skip,), (), seconds)


@dataclass
class Tally:
    """What was found so far; fields as those of `Findings`."""

    planned: int = 0
    compared: int = 0
    differing: int = 0
    values: int = 0
    skipped: list[Skip] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: list[Difference]) -> None:
        """Count one profile, and what differs of it."""
        self.compared += 1
        self.differing += bool(found)
        self.values += len(found)
        self.differences += found[: SHOWN - len(self.differences)]

    def findings(self, old: str, new: str, query_ms: int, seed: int, seconds: float) -> Findings:
        """The findings, where nothing more comes."""
        return Findings(
            old=old,
            new=new,
            query_ms=query_ms,
            seed=seed,
            planned=self.planned,
            compared=self.compared,
            differing=self.differing,
            values=self.values,
            skipped=_grouped(self.skipped),
            differences=tuple(self.differences),
            seconds=round(seconds, 3),
        )


def _grouped(skips: list[Skip]) -> tuple[Skip, ...]:
    """Skips of the same reason and detail as one, with all of its shards."""
    ordered = sorted(skips, key=lambda skip: (skip.reason, skip.detail, skip.shards))
    return tuple(
        Skip(*of, tuple(chain.from_iterable(skip.shards for skip in same)))
        for of, same in groupby(ordered, key=lambda skip: (skip.reason, skip.detail))
    )
