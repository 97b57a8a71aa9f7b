"""The formula: what an impression still weighs after some time.

    S[m, h](T) = sum over events of x_m(e) * 2^-((T - t_e) / h)

The exponential average with half-life h, kept as a sum: sums of disjoint sets of events add, and
moving a sum from one reference time to another is one multiplication, because
2^-((T - t)/h) = 2^-((T - r)/h) * 2^-((r - t)/h). That is why batch and stream can be merged
exactly. (Twitter's algebird calls the pair of a sum and its reference time a DecayedValue.)

Whatever else computes this (Spark expressions, compiled kernels) is tested equal to this module.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from impressions.core.spec import DAY_MS, Spec

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def weights(age_ms: Int, spec: Spec) -> Float:
    """2^-(age/h) for every half-life.

    Args:
        age_ms: (n,) int64, reference time minus event time; negative for events after it.

    Returns:
        (H, n) float64.
    """
    half_lives_ms = np.asarray(spec.half_lives_days, np.float64)[:, None] * DAY_MS
    return np.exp2(-(age_ms[None, :] / half_lives_ms))


def shift_factors(from_ms: int, to_ms: int, spec: Spec) -> Float:
    """(H,) float64: what decayed sums are multiplied by to move their reference time."""
    return weights(np.array([to_ms - from_ms], np.int64), spec)[:, 0]


def rate_per_day(half_life_days: int) -> float:
    """Factor from a decayed sum to an EMA rate per day, ln 2 / h.

    A steady r events a day for ever has the decayed sum r * h / ln 2 (the integral of the weight).
    """
    return math.log(2) / half_life_days
