"""Impressions of whole profiles become their rows of a generation: compiled where possible.

In: columns of impressions, as files of raw have them, in the order of these files. Out: `Sums`. The
definition is the numpy form (batch/compacting/plain_sums.py), and tests hold both equal; where
numba cannot compile, that form is used.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impressions.compiled.loading import loaded
from impressions.core import window
from impressions.core.decay import Float, Int
from impressions.core.errors import CorruptData
from impressions.core.spec import DAY_MS, Adds, Spec

_MAX_POWER = 8
"""Keeps the error of a weight within 8 times that of exp."""


@dataclass(frozen=True)
class Impressions:
    """n impressions.

    Attributes:
        profiles, titles, event_us: (n,) int64.   locations: (n,) int32.
        left_out: (n,) bool, rows that count nothing: duplicates.
        values: (c, n) float64, the spec's `added_columns` in their order.
    """

    profiles: Int
    titles: Int
    locations: NDArray[np.int32]
    event_us: Int
    left_out: NDArray[np.bool_]
    values: Float


@dataclass(frozen=True)
class Sums:
    """k rows of a generation, by (profile, item, day), views of larger arrays.

    Attributes:
        days: (k,) the tail day, or -1.
        numbers: (M + M * H, k) totals, then decayed sums measure by measure.
    """

    profiles: Int
    items: Int
    days: Int
    last_seen_ms: Int
    numbers: Float


@functools.cache
def kernel() -> Any | None:
    """The compiled function; compiles if this machine never did. None where it cannot be had."""
    found = loaded("sums", {"sum_kernels": "sums"})
    return found[0].sums if found else None


def sums_of(compiled: Any, of: Impressions, cutover_ms: int, spec: Spec) -> Sums:
    """The sums of whole profiles at the cutover.

    Raises:
        CorruptData: a location that is none.
    """
    n, tail = len(of.profiles), window.tail_days(cutover_ms, spec)
    keys = np.empty((4, n), np.int64)
    numbers = np.empty((len(spec.measures) * (1 + len(spec.half_lives_days)), n))
    filled = compiled(
        of.profiles, of.titles, of.locations, of.event_us, of.left_out, of.values,
        added_columns(spec), cutover_ms, tail.start, tail.stop, *weighing(spec), keys, numbers,
    )  # fmt: skip
    if filled < 0:
        raise CorruptData("raw: a location is outside of 0..255")
    profiles, items, days, last_seen_ms = keys[:, :filled]
    return Sums(profiles, items, days, last_seen_ms, numbers[:, :filled])


def added_columns(spec: Spec) -> Int:
    """(M,) which column of `Impressions.values` each measure adds; -1: the number 1."""
    columns = spec.added_columns
    return np.array(
        [-1 if m.adds is Adds.ONE else columns.index(m.adds.column) for m in spec.measures]
    )


@functools.cache
def weighing(spec: Spec) -> tuple[Float, Int, Int]:
    """(H,) rates; and which half-life's weight is taken to which power, -1: none."""
    half_lives = spec.half_lives_days
    bases, powers = np.full(len(half_lives), -1, np.int64), np.zeros(len(half_lives), np.int64)
    for i, h in enumerate(half_lives):
        longer = [k for k in half_lives[i + 1 :] if k % h == 0 and k // h <= _MAX_POWER]
        if longer:
            bases[i], powers[i] = half_lives.index(longer[0]), longer[0] // h
    return math.log(2) / (np.array(half_lives, np.float64) * DAY_MS), bases, powers
