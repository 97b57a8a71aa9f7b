"""Dwell as counts per bin, because counts add and medians do not.

Bin 0 is dwell 0; the others divide 1 ms .. 1e9 s into eighths of a doubling, so that a quantile is
right within 9 %, and better by interpolation.
"""

from __future__ import annotations

import numpy as np

from impressions.core.decay import Float, Int

PER_DOUBLING = 8
LOWEST_S = 2.0**-10
BINS = 1 + 40 * PER_DOUBLING


def bins_of(dwell_s: Float) -> Int:
    """(n,) the bin of each dwell; what is no number counts as 0."""
    known = np.nan_to_num(dwell_s, nan=0.0, posinf=1e9, neginf=0.0)
    at = np.log2(np.maximum(known, LOWEST_S) / LOWEST_S) * PER_DOUBLING
    return np.where(known > 0, np.clip(at.astype(np.int64), 0, BINS - 2) + 1, 0)


def quantile_s(counts: Int, q: float) -> float:
    """Seconds, of (BINS,) counts; NaN where they are none."""
    total = int(counts.sum())
    if not total:
        return float("nan")
    upto = np.cumsum(counts)
    wanted = q * total
    at = int(np.searchsorted(upto, wanted, side="left"))
    if at == 0:
        return 0.0
    share = (wanted - upto[at - 1]) / max(1, counts[at])
    return float(LOWEST_S * 2.0 ** ((at - 1 + share) / PER_DOUBLING))
