"""The order of rows that come as a few sorted runs: merged, never sorted from scratch.

A profile's block is one ascending run, each delta block another, each day of the tail too. So some
2,000 rows are ordered by merging the small runs among each other (a natural merge sort) and the
result with the large one, in a few steps per row.
"""

from __future__ import annotations

import numpy as np

from impressions.compiled.table import compiled


@compiled
def order_of(keys):  # type: ignore[no-untyped-def]
    """(n,) int64 positions that put `keys` in ascending order; equal keys stay as they came."""
    n = len(keys)
    order, spare = np.arange(n), np.empty(n, np.int64)
    bounds, runs = _runs(keys)
    while runs > 1:
        merged = 0
        for r in range(0, runs, 2):
            begin, middle = bounds[r], bounds[r + 1]
            end = bounds[r + 2] if r + 2 <= runs else middle
            _merge_two(keys, order, begin, middle, end, spare)
            bounds[merged] = begin
            merged += 1
        bounds[merged] = n
        runs = merged
        order, spare = spare, order
    return order


@compiled
def slots_of(large, small, order):  # type: ignore[no-untyped-def]
    """Which group each row belongs to; groups are numbered by ascending key.

    Args:
        large: (n,) int64 keys, ascending, not necessarily unique.
        small: (k,) int64 keys; `order` puts them in ascending order.

    Returns:
        (groups,) their keys, (n,) slots of `large`, (k,) slots of `small`.
    """
    n, k = len(large), len(small)
    of_large, of_small = np.empty(n, np.uint32), np.empty(k, np.uint32)
    groups = np.empty(n + k, np.int64)
    g, i, j = -1, 0, 0
    while i < n or j < k:
        take_large = j == k or (i < n and large[i] <= small[order[j]])
        key = large[i] if take_large else small[order[j]]
        if g < 0 or key != groups[g]:
            g += 1
            groups[g] = key
        if take_large:
            of_large[i] = g
            i += 1
        else:
            of_small[order[j]] = g
            j += 1
    return groups[: g + 1], of_large, of_small


@compiled
def _runs(keys):  # type: ignore[no-untyped-def]
    """Where each ascending run of `keys` begins, and how many there are; then the end."""
    bounds = np.empty(len(keys) + 1, np.int64)
    runs = 0
    for i in range(len(keys)):
        if i == 0 or keys[i] < keys[i - 1]:
            bounds[runs] = i
            runs += 1
    bounds[runs] = len(keys)
    return bounds, runs


@compiled
def _merge_two(keys, order, begin, middle, end, out):  # type: ignore[no-untyped-def]
    """Merge order[begin:middle] and order[middle:end] into `out`; the first wins a tie."""
    i, j = begin, middle
    for at in range(begin, end):
        if j == end or (i < middle and keys[order[i]] <= keys[order[j]]):
            out[at] = order[i]
            i += 1
        else:
            out[at] = order[j]
            j += 1
