"""The events behind a difference of one item: the fewest whose removal or addition explains it.

In: by how much totals and sums of an item differ from what its events make, and those events. An
event adds 1 impression, so the difference in impressions says how many events it is about; and each
half-life weighs an event by its age, so five sums tell events apart that totals cannot:
2^-(age/h) = d gives age = -h log2 d. What is tried, until something fits in all columns:

    1. events that follow each other in one layer, as many as impressions differ: one event; or a
       flush, a record, a slot, all of a layer; missing, or counted once too often
    2. all that raw has twice
    3. any two events, each missing or counted once too often
    4. three to six events that need not follow each other, all missing or all too much: the last
       two are looked up, the others tried, as long as that is bounded
    5. one event that nobody sent: its age, play and dwell are those of the difference

A layer that counts an event which must not count (a duplicate, one outside the window) is found as
one that has it once too often. Where several solutions fit, all are returned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from batch.reconciling.events import DWELL_S, PLAYED
from batch.reconciling.ownership import Flags
from impressions.core.decay import Float, Int
from impressions.core.spec import DAY_MS, Spec

_MOST = 20
"""Solutions that are returned."""
_PAIRS_OF = 4_000
"""Of more events than this no pairs are tried."""
_SET_MOST = 6
_SET_WORK = 20_000
"""Sets of all but two events that are tried."""


@dataclass(frozen=True)
class Candidates:
    """The events of one item, as they were ingested.

    Attributes:
        vectors: (n, C) what each adds.
        layer: (n,) who answers for it.
        counts: (n,) whether it must count; one that must not can only be too much.
        doubled: (n,) whether raw holds it twice.
    """

    vectors: Float
    layer: Int
    counts: Flags
    doubled: Flags


@dataclass(frozen=True)
class Change:
    """Positions of events that an item lacks, and of those it has once too often."""

    lacks: tuple[int, ...] = ()
    surplus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """An event that is in the answer and that nobody sent. `within_ms`: how exact its time is."""

    event_ms: int
    within_ms: int
    played: bool
    dwell_s: float


def explain(difference: Float, tolerance: Float, candidates: Candidates) -> list[Change]:
    """The smallest changes that explain a difference (found less expected), all of one size.

    Args:
        difference, tolerance: (C,) columns as those of the vectors.
    """
    impressions = round(difference[0])
    for tried in (
        _runs(difference, tolerance, candidates, impressions),
        _doubled(difference, tolerance, candidates),
        _pairs(difference, tolerance, candidates, impressions),
        _sets(difference, tolerance, candidates, impressions),
    ):
        if found := list(dict.fromkeys(_first(tried))):
            return found
    return []


def possible(difference: Float, tolerance: Float, of: Candidates) -> Int:
    """Positions of the events that may be among those that only lack, or are only too many: none
    adds more than the whole difference in any column."""
    lost = difference[0] < 0
    wanted = -difference if lost else difference
    fits = (of.vectors <= wanted + tolerance).all(axis=1)
    return np.flatnonzero(fits & of.counts if lost else fits)


def unknown(difference: Float, tolerance: Float, query_ms: int, spec: Spec) -> Unknown | None:
    """The one event that a difference is equal to; None where it is not that of one event."""
    m, days = len(spec.measures), spec.half_lives_days
    impressions = difference[m : m + len(days)]
    if round(difference[0]) != 1 or (impressions <= 0).any():
        return None
    ages = [-h * DAY_MS * math.log2(d) for h, d in zip(days, impressions, strict=True)]
    errors = [h * DAY_MS / math.log(2) * t / d for h, t, d in
              zip(days, tolerance[m:], impressions, strict=False)]  # fmt: skip
    best = int(np.argmin(errors))
    agrees = all(abs(a - ages[best]) <= 2 * (e + errors[best]) + 1
                 for a, e in zip(ages, errors, strict=True))  # fmt: skip
    played, dwell_s = difference[PLAYED], difference[DWELL_S]
    if not agrees or round(played) not in (0, 1) or dwell_s < -tolerance[DWELL_S]:
        return None
    return Unknown(query_ms - round(ages[best]), math.ceil(errors[best]), round(played) == 1,
                   max(0.0, float(dwell_s)))  # fmt: skip


def _first(tried: Iterator[Change]) -> Iterator[Change]:
    for _, change in zip(range(_MOST), tried, strict=False):
        yield change


def _runs(
    difference: Float, tolerance: Float, of: Candidates, impressions: int
) -> Iterator[Change]:
    """Events that follow each other in one layer, then in all."""
    length, lost = abs(impressions), impressions < 0
    if not length:
        return
    wanted = -difference if lost else difference
    of_layers = [of.layer == layer for layer in np.unique(of.layer)]
    for among in (*of_layers, np.ones(len(of.layer), bool)):
        for counts in (True,) if lost else (False, True):
            which = np.flatnonzero(among & (of.counts == counts))
            for start in _runs_of(of.vectors[which], wanted, tolerance, length):
                run = tuple(which[start : start + length].tolist())
                yield Change(lacks=run) if lost else Change(surplus=run)


def _runs_of(vectors: Float, wanted: Float, tolerance: Float, length: int) -> list[int]:
    """Where runs of so many rows begin whose sum is the one wanted."""
    if len(vectors) < length:
        return []
    if length == 1:
        sums = vectors
    else:
        sums = np.lib.stride_tricks.sliding_window_view(vectors, length, axis=0).sum(axis=-1)
    fits = (abs(sums - wanted) <= tolerance).all(axis=1)
    return [int(start) for start in np.flatnonzero(fits)]


def _doubled(difference: Float, tolerance: Float, of: Candidates) -> Iterator[Change]:
    which = np.flatnonzero(of.doubled & of.counts)
    if len(which) and (abs(of.vectors[which].sum(axis=0) - difference) <= tolerance).all():
        yield Change(surplus=tuple(which.tolist()))


def _pairs(
    difference: Float, tolerance: Float, of: Candidates, impressions: int
) -> Iterator[Change]:
    """Two events: the second of each pair is looked up by the column that tells most apart."""
    if impressions not in (-2, 0, 2) or not len(of.vectors) or len(of.vectors) > _PAIRS_OF:
        return
    counted = np.flatnonzero(of.counts)
    every = np.arange(len(of.vectors))
    signs = np.concatenate([-np.ones(len(counted)), np.ones(len(every))])
    events = np.concatenate([counted, every])
    signed = of.vectors[events] * signs[:, None]
    column = int(np.argmax(np.ptp(signed, axis=0) / np.maximum(tolerance, 1e-300)))
    order = np.argsort(signed[:, column], kind="stable")
    ranked = signed[order, column]
    rest = difference[column] - signed[:, column]
    lows = np.searchsorted(ranked, rest - tolerance[column])
    highs = np.searchsorted(ranked, rest + tolerance[column], side="right")
    for i in np.flatnonzero(highs > lows).tolist():
        others = order[lows[i] : highs[i]]
        others = others[(others > i) & (events[others] != events[i])]
        fits = (abs(signed[i] + signed[others] - difference) <= tolerance).all(axis=1)
        for j in others[fits].tolist():
            both = ((signs[k], int(events[k])) for k in (i, j))
            parts = sorted(both)
            yield Change(
                lacks=tuple(e for sign, e in parts if sign < 0),
                surplus=tuple(e for sign, e in parts if sign > 0),
            )


def _sets(
    difference: Float, tolerance: Float, of: Candidates, impressions: int
) -> Iterator[Change]:
    """A few events anywhere in the item, all missing or all too much."""
    size, lost = abs(impressions), impressions < 0
    which = possible(difference, tolerance, of)
    if not 3 <= size <= min(_SET_MOST, len(which)):
        return
    if math.comb(len(which), size - 2) > _SET_WORK:
        return
    wanted = -difference if lost else difference
    column = int(np.argmax(np.ptp(of.vectors[which], axis=0) / np.maximum(tolerance, 1e-300)))
    which = which[np.argsort(of.vectors[which, column], kind="stable")]
    vectors = of.vectors[which]
    for first in combinations(range(len(which) - 2), size - 2):
        rest = wanted - vectors[list(first)].sum(axis=0)
        if (rest < -tolerance).any():
            continue
        for pair in _two_of(vectors[first[-1] + 1 :], rest, tolerance, column):
            places = (*first, *(first[-1] + 1 + j for j in pair))
            found = tuple(sorted(int(which[i]) for i in places))
            yield Change(lacks=found) if lost else Change(surplus=found)


def _two_of(
    vectors: Float, wanted: Float, tolerance: Float, column: int
) -> Iterator[tuple[int, int]]:
    """Two rows that add up to what is wanted; rows ascend in the column."""
    ranked = vectors[:, column]
    rest = wanted[column] - ranked
    lows = np.searchsorted(ranked, rest - tolerance[column])
    highs = np.searchsorted(ranked, rest + tolerance[column], side="right")
    lows = np.maximum(lows, np.arange(len(ranked)) + 1)
    for i in np.flatnonzero(highs > lows).tolist():
        sums = vectors[i] + vectors[lows[i] : highs[i]]
        fits = (abs(sums - wanted) <= tolerance).all(axis=1)
        yield from ((i, int(lows[i]) + int(j)) for j in np.flatnonzero(fits))
