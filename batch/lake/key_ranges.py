"""Shards cut into ranges with about as many rows each: several small shards share a range, a large
one is cut into ranges of its profiles. Pure.

The ranges decide nothing about a result: they come in the order of files, and a profile is whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from batch.lake.data_file_rows import Keys, split
from batch.lake.data_files import Shards
from impressions.core.decay import Int


def cut(shards: Shards, rows: int, most: int, sampled: Sequence[tuple[Int, Int]]) -> list[Keys]:
    """Ranges that cover these shards, ascending.

    Args:
        rows: of all of them.   most: of a range, about.
        sampled: shards and profiles of some of the rows, (n,) each, in any order.
    """
    if rows <= most or not sampled:
        return [Keys(shards)]
    shard = np.concatenate([of for of, _ in sampled])
    profile = np.concatenate([of for _, of in sampled])
    found: list[Keys] = []
    start, held = shards[0], 0.0
    each, counts = np.unique(shard, return_counts=True)
    for of, its_rows in zip(each.tolist(), (counts * (rows / len(shard))).tolist(), strict=True):
        if held + its_rows > most and of > start:
            found.append(Keys((start, of)))
            start, held = of, 0.0
        held += its_rows
        if its_rows > most:
            own = split(profile[shard == of], math.ceil(its_rows / most))
            found += [Keys((of, of + 1), profiles) for profiles in own]
            start, held = of + 1, 0.0
    return [*found, Keys((start, shards[1]))] if start < shards[1] else found
