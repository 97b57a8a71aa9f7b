"""The columns of impressions, read and written: the compiled form of formats/impression_columns.py.

Columns of integers have the fewest bytes that hold their largest value; columns that a spec adds
are whole numbers, thousandths, or float64 where neither gives every value back. A reader of one
profile takes chosen rows only (table.py); here whole columns go in and out.
"""

from __future__ import annotations

import numpy as np

from impressions.compiled.table import compiled
from impressions.formats.columns import F64
from impressions.formats.impression_columns import MOST_THOUSANDTHS, THOUSANDTHS

_MOST_THOUSANDTHS = np.float64(MOST_THOUSANDTHS)


@compiled
def read_impressions(data, start, n, of_integers, of_added, room):  # type: ignore[no-untyped-def]
    """Fill columns with the n impressions that begin at `start`, which are known to be whole.

    Args:
        of_integers, of_added: (2, n) int64 of items and of times before the newest, and (A, n)
            float64; or more.   room: (n,) int64 or more, to work with.
    """
    if not n:
        return
    at = start + 2 + len(of_added)
    for c in range(2):
        width = np.int64(data[start + c])
        _read_column(data, at, n, width, of_integers[c])
        at += width * n
    for a in range(len(of_added)):
        code = np.int64(data[start + 2 + a])
        _read_added(data, at, n, code, of_added[a], room)
        at += n * (8 if code == F64 else code & ~THOUSANDTHS)


@compiled
def put_impressions(out, start, items, ages_ms, of_added, n, wholes, room):  # type: ignore[no-untyped-def]
    """Write n impressions; where they end.

    Args:
        items, ages_ms, of_added: as they are read.   wholes: (A,) which are whole numbers.
    """
    at = start + 2 + len(of_added)
    out[start], at = _put_column(out, at, items, n)
    out[start + 1], at = _put_column(out, at, ages_ms, n)
    for a in range(len(of_added)):
        out[start + 2 + a], at = _put_added(out, at, of_added[a], n, wholes[a], room)
    return at


@compiled
def _width(largest):  # type: ignore[no-untyped-def]
    """The fewest bytes that columns of integers may have."""
    if largest < 1 << 8:
        return 1
    if largest < 1 << 16:
        return 2
    if largest < 1 << 24:
        return 3
    if largest < 1 << 32:
        return 4
    return 5 if largest < 1 << 40 else 8


@compiled
def _read_column(data, start, n, width, out):  # type: ignore[no-untyped-def]
    """Fill out[:n] with a column of n integers."""
    low = width - 1 if width in (3, 5) else width
    stop = start + low * n
    if low == 1:
        for k in range(n):
            out[k] = data[np.uint64(start + k)]
    elif low == 2:
        of_u2 = data[start:stop].view(np.uint16)
        for k in range(n):
            out[k] = of_u2[k]
    elif low == 4:
        of_u4 = data[start:stop].view(np.uint32)
        for k in range(n):
            out[k] = of_u4[k]
    else:
        of_i8 = data[start:stop].view(np.int64)
        for k in range(n):
            out[k] = of_i8[k]
    if low != width:
        for k in range(n):
            out[k] |= np.int64(data[np.uint64(stop + k)]) << (8 * low)


@compiled
def _put_column(out, at, values, n):  # type: ignore[no-untyped-def]
    """Write a column of integers of the fewest bytes; how many, and where it ends."""
    largest = np.int64(0)
    for k in range(n):
        largest = max(largest, values[k])
    width = _width(largest)
    low = width - 1 if width in (3, 5) else width
    stop = at + low * n
    if low == 1:
        for k in range(n):
            out[at + k] = np.uint8(values[k])
    elif low == 2:
        of_u2 = out[at:stop].view(np.uint16)
        for k in range(n):
            of_u2[k] = np.uint16(values[k])
    elif low == 4:
        of_u4 = out[at:stop].view(np.uint32)
        for k in range(n):
            of_u4[k] = np.uint32(values[k])
    else:
        of_i8 = out[at:stop].view(np.int64)
        for k in range(n):
            of_i8[k] = values[k]
    if low != width:
        for k in range(n):
            out[stop + k] = np.uint8(values[k] >> (8 * low))
    return width, at + width * n


@compiled
def _read_added(data, start, n, code, out, room):  # type: ignore[no-untyped-def]
    """Fill out[:n] with an added column. `room`: for n integers."""
    if code == F64:
        _read_column(data, start, n, 8, out.view(np.int64))
        return
    thousandths = code >= THOUSANDTHS
    _read_column(data, start, n, code & ~THOUSANDTHS, room)
    for k in range(n):
        out[k] = room[k] / 1_000 if thousandths else np.float64(room[k])


@compiled
def _put_added(out, at, values, n, whole, room):  # type: ignore[no-untyped-def]
    """Write an added column; its code, and where it ends. `room`: for n integers."""
    fits = True
    for k in range(n):
        if whole:
            room[k] = np.int64(values[k])
        else:
            thousandths = np.rint(values[k] * 1_000)
            if not (0 <= thousandths < _MOST_THOUSANDTHS and thousandths / 1_000 == values[k]):
                fits = False
                break
            room[k] = np.int64(thousandths)
    if fits:
        width, end = _put_column(out, at, room, n)
        return width if whole else THOUSANDTHS + width, end
    stored, bits = out[at : at + 8 * n].view(np.int64), values.view(np.int64)
    for k in range(n):
        stored[k] = bits[k]
    return F64, at + 8 * n
