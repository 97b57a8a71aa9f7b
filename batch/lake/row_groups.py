"""Where the row groups of a data file end, whose rows stand in the order of their shards.

    several shards     share a row group until it has LEAST_ROWS: it ends where a shard ends
    a large shard      has row groups of MOST_ROWS; what is left of it begins the next row group

So a reader of one shard decodes little more than its rows, and a small slot is one row group. The
rule looks at no more than the rows since the last end, so it gives the same row groups whichever
pieces the rows come in. Rows that have no shard are of one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from impressions.core.decay import Int

LEAST_ROWS, MOST_ROWS = 1 << 13, 1 << 16


def row_group_ends(shards: Int, *, is_last: bool) -> list[int]:
    """Ascending places in `shards` at which a row group ends.

    Args:
        shards: (n,) ascending, of rows since the last end.
        is_last: nothing follows; otherwise rows after the last place wait for those that do.
    """
    n, start = len(shards), 0
    found: list[int] = []
    edges = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), n]
    for begin, end in pairwise(edges):
        if end - start > MOST_ROWS and begin > start:
            found.append(start := begin)
        while end - start > MOST_ROWS:
            found.append(start := start + MOST_ROWS)
        if end - start >= LEAST_ROWS and end < n:
            found.append(start := end)
    return [*found, n] if is_last and start < n else found
