"""Numbers of a fixed width where they lie in bytes, little-endian.

Byte by byte: the compiler sees one load or one store. Bytes are looked up by unsigned numbers: a
signed one would be asked each time whether it is negative, which costs more than the byte.
"""

from __future__ import annotations

import numpy as np

from impressions.compiled.table import compiled


@compiled
def load(data, at, width):  # type: ignore[no-untyped-def]
    """An int64 of so many bytes."""
    number = np.uint64(0)
    for i in range(width):
        number |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
    return np.int64(number)


@compiled
def store(out, at, value, width):  # type: ignore[no-untyped-def]
    """Write a number in so many bytes."""
    rest = np.uint64(value)
    for i in range(width):
        out[np.uint64(at + i)] = np.uint8(rest & np.uint64(0xFF))
        rest >>= np.uint64(8)
