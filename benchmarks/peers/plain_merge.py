"""The merge as a few lines of numpy: concatenate, sort, add.

It starts from float64 arrays that are ready in memory (no bytes to decode, no window, no check), so
it is ahead by all that a stored form costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impressions.core.decay import Float, Int
from impressions.core.rows import Rows


@dataclass(frozen=True)
class Part:
    """Keys (n,) int64, last seen (n,) int64, and an (18, n) float64 matrix of numbers to add."""

    keys: Int
    last_seen: Int
    numbers: Float


def part_of(rows: Rows) -> Part:
    """A part of the merge, laid out the way this peer likes it."""
    sums = rows.sums.reshape(-1, len(rows))
    return Part(rows.items, rows.last_seen_ms, np.concatenate([rows.totals, sums]))


def merge(parts: Sequence[Part], factors: Sequence[Float], titles: Int | None) -> Part:
    """Add the parts, each times its (18,) factors; `titles` keeps only those."""
    keys = np.concatenate([part.keys for part in parts])
    last_seen = np.concatenate([part.last_seen for part in parts])
    pairs = zip(parts, factors, strict=True)
    numbers = np.concatenate([part.numbers * factor[:, None] for part, factor in pairs], axis=1)
    if titles is not None:
        kept = np.isin(keys >> 8, titles)
        keys, last_seen, numbers = keys[kept], last_seen[kept], numbers[:, kept]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return Part(
        keys[starts],
        np.maximum.reduceat(last_seen[order], starts),
        np.add.reduceat(numbers[:, order], starts, axis=1),
    )
