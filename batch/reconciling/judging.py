"""One profile: what its events make, against what a server answered. Pure.

The tolerance follows from what is stored: sums of a generation are the fourth power of a float32
(docs/decisions/0001-fourth-root.md), those of the stream are float64. Impressions and plays are
whole numbers and must be equal.

The answer says through when it holds the stream; what came later may be in it, and the worker
applies a partition in order. So of the later events the answer may hold the first k, for whichever
k fits best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batch.reconciling.events import Events, vectors
from batch.reconciling.ownership import GENERATION, Owned, owned
from impressions.core.decay import Float, Int
from impressions.core.spec import Spec

STORED, COMPUTED = 1e-6, 1e-9
_MAY_MOST = 200


@dataclass(frozen=True)
class Served:
    """What a server answered about one profile.

    Attributes:
        through_ms: every event ingested before it is in the answer.
        reasons: why the answer calls itself incomplete; none: it is complete.
        items: (a,) ascending.
        values: (a, C) as those of `vectors`.
        error: the host has the profile and cannot read it: why; "" where it can.
    """

    profile_id: int
    query_ms: int
    cutover_ms: int
    through_ms: int
    generation: str
    reasons: tuple[str, ...]
    items: Int
    values: Float
    error: str = ""


def unreadable(profile_id: int, error: str) -> Served:
    """The answer about a profile that the host has and cannot read."""
    none = np.empty(0, np.int64)
    return Served(profile_id, 0, 0, 0, "", (), none, np.empty((0, 0)), error)


@dataclass(frozen=True)
class ItemDifference:
    """An item for which the answer is not what its events make; (C,) each."""

    item: int
    expected: Float
    found: Float
    tolerance: Float


@dataclass(frozen=True)
class Judged:
    """One profile.

    Attributes:
        events: as they were ingested.   vectors: (n, C).
        differences: by item.
    """

    events: Events
    vectors: Float
    owned: Owned
    differences: tuple[ItemDifference, ...]


def judge(events: Events, served: Served, spec: Spec) -> Judged:
    """Compare one profile's events with the answer about it."""
    events = events.in_order()
    of = owned(events, served.query_ms, served.cutover_ms, served.through_ms, spec)
    adds = vectors(events, served.query_ms, spec)
    items = np.union1d(events.item[of.counts], served.items)
    found = np.zeros((len(items), adds.shape[1]))
    found[np.searchsorted(items, served.items)] = served.values
    at = np.searchsorted(items, np.where(of.counts, events.item, items[:1] if len(items) else 0))
    from_generation, from_stream = (np.zeros_like(found) for _ in range(2))
    sure = of.counts & ~of.may
    for into, which in (
        (from_generation, sure & (of.layer == GENERATION)),
        (from_stream, sure & (of.layer != GENERATION)),
    ):
        np.add.at(into, at[which], adds[which])
    later = np.flatnonzero(of.may)
    from_stream = _best(from_generation, from_stream, found, adds[later], at[later], spec)
    tolerance = _tolerance(from_generation, from_stream, found, spec)
    expected = from_generation + from_stream
    differs = np.flatnonzero((abs(found - expected) > tolerance).any(axis=1))
    return Judged(
        events, adds, of,
        tuple(ItemDifference(int(items[i]), expected[i], found[i], tolerance[i]) for i in differs),
    )  # fmt: skip


def _best(
    generation: Float, stream: Float, found: Float, later: Float, at: Int, spec: Spec
) -> Float:
    """The stream's sums with as many of the later events as fit the answer best."""
    missing = round(float(found[:, 0].sum() - generation[:, 0].sum() - stream[:, 0].sum()))
    likely = min(max(missing, 0), len(later))
    every = range(len(later) + 1) if len(later) <= _MAY_MOST else (0, likely, len(later))
    best, fewest = stream, np.inf
    for k in sorted(every, key=lambda k: abs(k - likely)):
        tried = stream.copy()
        np.add.at(tried, at[:k], later[:k])
        tolerance = _tolerance(generation, tried, found, spec)
        differing = int((abs(found - generation - tried) > tolerance).any(axis=1).sum())
        if differing < fewest:
            best, fewest = tried, differing
        if not differing:
            break
    return best


def _tolerance(generation: Float, stream: Float, found: Float, spec: Spec) -> Float:
    """(I, C): by how much the answer may differ."""
    stored = np.maximum(generation, found - stream)
    computed = np.maximum(generation + stream, found)
    tolerance = STORED * stored + COMPUTED * computed + np.finfo(np.float64).tiny
    whole = [m for m, measure in enumerate(spec.measures) if measure.integral]
    tolerance[:, whole] = 0.5
    return tolerance
