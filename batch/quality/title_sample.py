"""A sample of the titles of a day, always the same ones, small enough to be kept.

Titles are hashed, and the K smallest hashes are the sample: two samples together give that of both,
and a title that is in today's sample would have been in that of any day that had it. So the share
of titles that are new is counted on the sample. A catalogue of up to K titles is exact.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int

Hashes = NDArray[np.uint64]
"""(k,) ascending, distinct."""

KEPT = 512
NONE: Hashes = np.zeros(0, np.uint64)
_TOP = 1 << 64


def sample_of(titles: Int) -> Hashes:
    """The sample of (n,) titles in any order, repeated or not."""
    hashes = _hashed(titles)
    shift = max(0, (len(hashes) // (8 * KEPT)).bit_length())
    while True:
        some = hashes if not shift else hashes[hashes < np.uint64(_TOP >> shift)]
        found = np.unique(some)
        if len(found) >= KEPT or not shift:
            return found[:KEPT]
        shift = max(0, shift - 2)


def joined(samples: Iterable[Hashes]) -> Hashes:
    """The sample of all that was sampled."""
    return np.unique(np.concatenate([NONE, *samples]))[:KEPT]


def distinct(sample: Hashes) -> int:
    """About how many titles there are; exact below KEPT."""
    if len(sample) < KEPT:
        return len(sample)
    return round((KEPT - 1) * _TOP / float(sample[-1]))


def new_in(sample: Hashes, earlier: Iterable[Hashes]) -> int:
    """About how many titles of `sample` no earlier sample had."""
    known = [one for one in earlier if len(one)]
    if not len(sample) or not known:
        return 0
    # A full sample says nothing of hashes above its last one.
    reach = min([_TOP, *(int(one[-1]) for one in (*known, sample) if len(one) == KEPT)])
    comparable = sample[sample <= np.uint64(min(reach, _TOP - 1))]
    if not len(comparable):
        return 0
    is_new = ~np.isin(comparable, np.concatenate(known))
    return round(float(is_new.mean()) * distinct(sample))


def _hashed(titles: Int) -> Hashes:
    """(n,) splitmix64 of each title."""
    mixed = titles.astype(np.int64, copy=False).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
