"""Which occurrence of its group each row is: the first, the second, and so on."""

from __future__ import annotations

import numpy as np

from impressions.core.decay import Int


def occurrence(group: Int, order: Int | None = None) -> Int:
    """(n,) how many rows of its group come before each.

    Args:
        group: (n,) a number from 0 on per row, equal for the rows of a group.
        order: (n,) an index, in whose order rows are counted; None: as they stand.
    """
    order = np.arange(len(group)) if order is None else order
    order = order[np.argsort(group[order], kind="stable")]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    before = np.empty(len(group), np.int64)
    before[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return before
