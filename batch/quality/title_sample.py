"""A sample of the titles of a day, always the same ones, small enough to be kept.

Titles are hashed, and the K smallest hashes are the sample: two samples together give that of both,
and a title that is in today's sample would have been in that of any day that had it. So the share
of titles that are new is counted on the sample. A catalogue of up to K titles is exact.

Of each segment is known which titles of the day's sample it has: a row of bits (`Seen`). So its new
titles are counted by the same sample, and nothing more is kept of days before.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int

Hashes = NDArray[np.uint64]
"""(k,) ascending, distinct."""
Seen = NDArray[np.bool_]
"""(segments, k) whether a segment has a title of the sample."""

KEPT = 512
NONE: Hashes = np.zeros(0, np.uint64)
_TOP = 1 << 64


def sampled(titles: Int, group: Int, groups: int) -> tuple[Hashes, Seen]:
    """The sample of (n,) titles, and which of it each group has; `group`: (n,) of each title."""
    hashes = _hashed(titles)
    sample = _smallest(hashes)
    seen = np.zeros((groups, len(sample)), np.bool_)
    if len(sample):
        rows = np.flatnonzero(hashes <= sample[-1])
        seen[group[rows], np.searchsorted(sample, hashes[rows])] = True
    return sample, seen


def seen_in(whole: Hashes, sample: Hashes, seen: Seen) -> Seen:
    """Which titles of `whole`, a sample that `sample` went into, are seen."""
    kept = sample <= whole[-1] if len(whole) else np.zeros(len(sample), np.bool_)
    result = np.zeros((len(seen), len(whole)), np.bool_)
    result[:, np.searchsorted(whole, sample[kept])] = seen[:, kept]
    return result


def _smallest(hashes: Hashes) -> Hashes:
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


def distinct(sample: Hashes, of: int | None = None) -> int:
    """About how many titles there are; exact below KEPT. `of`: so many of the sample are meant."""
    n = len(sample) if of is None else of
    if len(sample) < KEPT:
        return n
    return round(n * (KEPT - 1) / KEPT * _TOP / float(sample[-1]))


def are_new(sample: Hashes, earlier: Iterable[Hashes]) -> NDArray[np.float64]:
    """(k,) 1 for a title of `sample` that no earlier sample had, 0 for another one; NaN where that
    cannot be told: a full sample says nothing of hashes above its last one."""
    known = [one for one in earlier if len(one)]
    if not known:
        return np.full(len(sample), np.nan)
    reach = min([_TOP - 1, *(int(one[-1]) for one in known if len(one) == KEPT)])
    is_new = ~np.isin(sample, np.concatenate(known))
    return np.where(sample <= np.uint64(reach), is_new.astype(np.float64), np.nan)


def new_in(sample: Hashes, is_new: NDArray[np.float64], seen: NDArray[np.bool_]) -> int:
    """About how many titles that are seen, (k,), are new."""
    known = is_new[seen & ~np.isnan(is_new)]
    return round(float(known.mean()) * distinct(sample, int(seen.sum()))) if len(known) else 0


def _hashed(titles: Int) -> Hashes:
    """(n,) splitmix64 of each title."""
    mixed = titles.astype(np.int64, copy=False).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
