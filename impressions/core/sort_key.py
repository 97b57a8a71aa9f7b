"""One number a row that sorts as several columns do.

To sort by one column takes a fifth of the time of `numpy.lexsort` over three, and less where rows
are nearly in order: a stable sort merges what is, while `lexsort` begins with the last column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int

_BITS = 63
"""Of an int64 that is not negative."""


def sort_key(*columns: Int) -> Int | None:
    """(n,) int64 in the order of the rows of these (n,) int64 columns, the first one first; equal
    where rows are. None where 63 bits are too few, or a number is negative."""
    bits = [int(column.max(initial=0)).bit_length() for column in columns]
    if sum(bits) > _BITS or any(column.min(initial=0) < 0 for column in columns):
        return None
    key = columns[0]
    for column, width in zip(columns[1:], bits[1:], strict=True):
        key = key << width | column
    return key


def order_by(*columns: Int) -> NDArray[np.intp]:
    """Positions in the order of the rows, equal ones as they were."""
    key = sort_key(*columns)
    return np.lexsort(columns[::-1]) if key is None else np.argsort(key, kind="stable")
