"""What the audits need to know of rows: counted while a task has them in memory.

Facts of parts add up to those of the generation. They are plain numpy over what a task read and
over what it is about to write, apart from the kernel that made the one of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from batch.compacting.plain_sums import raw_totals
from batch.lake.ema_columns import NOT_TAIL, Columns
from impressions.compiled.sums import Impressions
from impressions.core import window
from impressions.core.shard import shards_of
from impressions.core.spec import DAY_MS, Spec


@dataclass(frozen=True)
class Reading:
    """What a task counted of the rows it read, before anything was added up.

    Attributes:
        rows: how many.   totals: measure -> sum over what counts of them.
    """

    rows: int
    totals: Mapping[str, float]

    @staticmethod
    def of(read: Impressions, cutover_ms: int, spec: Spec) -> Reading:
        """Of rows of raw."""
        return Reading(len(read.profiles), raw_totals(read, cutover_ms, spec))


@dataclass(frozen=True)
class PartFacts:
    """Of one piece or part of a shard, or all of it.

    Attributes:
        read: rows that were read.
        raw: measure -> sum over what counts of them.   ema: the same of the rows made.
        entries: rows made.   bad_values: column -> rows whose value may not be.
        shrinking, repeated, misplaced: rows; see batch/compacting/audits.py.
    """

    read: int
    raw: Mapping[str, float]
    ema: Mapping[str, float]
    entries: int
    bad_values: Mapping[str, int]
    shrinking: int
    repeated: int
    misplaced: int


def facts_of(
    read: Reading,
    made: Columns,
    shard: int,
    partitions: int,
    cutover_ms: int,
    spec: Spec,
    sum_tolerance: float,
) -> PartFacts:
    """Facts of one piece: whole profiles."""
    integral = {m.name: m.integral for m in spec.measures}
    totals = zip(spec.measure_names, made.rows.totals, strict=True)
    profiles = np.unique(made.profiles)
    return PartFacts(
        read=read.rows,
        raw=read.totals,
        ema={m: (int if integral[m] else float)(x.sum()) for m, x in totals},
        entries=len(made.profiles),
        bad_values=_bad_values(made, cutover_ms, spec),
        shrinking=_shrinking(made, cutover_ms, spec, sum_tolerance),
        repeated=_repeated(made),
        misplaced=int(
            np.isin(made.profiles, profiles[shards_of(profiles, partitions) != shard]).sum()
        ),
    )


def added(parts: Iterable[PartFacts], spec: Spec) -> PartFacts:
    """Facts of several parts together."""
    every = list(parts)

    def sums(of: Iterable[Mapping[str, float]]) -> dict[str, float]:
        found: Counter[str] = Counter()
        for one in of:
            found.update(one)
        return {name: found.get(name, 0) for name in spec.measure_names}

    bad: Counter[str] = Counter()
    for one in every:
        bad.update(one.bad_values)
    return PartFacts(
        read=sum(one.read for one in every),
        raw=sums(one.raw for one in every),
        ema=sums(one.ema for one in every),
        entries=sum(one.entries for one in every),
        bad_values=bad,
        shrinking=sum(one.shrinking for one in every),
        repeated=sum(one.repeated for one in every),
        misplaced=sum(one.misplaced for one in every),
    )


def _bad_values(made: Columns, cutover_ms: int, spec: Spec) -> dict[str, int]:
    """Column -> rows whose value in it may not be; columns without one are left out."""
    rows, tail = made.rows, window.tail_days(cutover_ms, spec)
    newest_ms = cutover_ms + spec.max_ahead_ms
    seen = rows.last_seen_ms
    wrong = {
        "profile_id": made.profiles < 0,
        "item": rows.items < 0,
        "tail_day": (made.days != NOT_TAIL) & ((made.days < tail.start) | (made.days >= tail.stop)),
        "last_seen": (seen < tail.start * DAY_MS) | (seen > newest_ms),
    }
    numbers = [*rows.totals, *rows.flat_sums]
    for name, values in zip((*spec.measure_names, *spec.decayed_names), numbers, strict=True):
        wrong[name] = ~((values >= 0) & (values < np.inf))  # neither holds of NaN
    return {name: count for name, rows in wrong.items() if (count := int(rows.sum()))}


def _shrinking(made: Columns, cutover_ms: int, spec: Spec, sum_tolerance: float) -> int:
    """Rows in which a sum is larger than the same sum with the next longer half-life."""
    by_length = np.argsort(spec.half_lives_days)
    wrong = np.zeros(len(made.rows), np.bool_)
    for sums in made.rows.sums:
        for short, long in pairwise(by_length.tolist()):
            wrong |= sums[short] > sums[long] * (1 + sum_tolerance)
    return int((wrong & (made.rows.last_seen_ms <= cutover_ms)).sum())


def _repeated(made: Columns) -> int:
    """Rows that do not come after the row before by (profile, item, day)."""
    after = np.zeros(max(len(made.rows) - 1, 0), np.bool_)
    equal = ~after
    for key in (made.profiles, made.rows.items, made.days):
        after |= equal & (key[1:] > key[:-1])
        equal &= key[1:] == key[:-1]
    return int((~after).sum())
