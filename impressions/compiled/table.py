"""Columns of a stored table (impressions/formats/columns.py) and of impressions
(impression_columns.py there), read where they lie.

A table is described by one row of `Places`: where each column starts, and its code. Whatever does
not fit is not explained here but answered with `BAD`: the plain decoder then says what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, njit, types

from impressions.compiled import cache
from impressions.formats.columns import F32, F64
from impressions.formats.impression_columns import THOUSANDTHS, UINTS

BYTES = types.Array(types.uint8, 1, "C", readonly=True, aligned=False)
"""Stored bytes. Columns begin anywhere in them, so views of them are not aligned either."""

config.CACHE_DIR = str(cache.directory())  # type: ignore[attr-defined]

BAD = -1
NEVER = np.int64(-(2**63))
"""When a row was seen last that nothing was added to."""

compiled: Any = njit(nogil=True, error_model="numpy")
"""Of the parts; only what is whole (`cache.kept`) is kept in the cache, with its parts inside."""


@compiled
def width_of(code):  # type: ignore[no-untyped-def]
    """Bytes of one value; 0 for what is no code."""
    if code in (1, 2, 4, 5, 8):
        return code
    if code == F32:
        return 4
    return 8 if code == F64 else 0


@compiled
def places(data, start, n, integral, half_lives, float_code, out):  # type: ignore[no-untyped-def]
    """Where the columns are.

    Args:
        integral: (M,) whether each measure's total is a whole number.
        out: (2 + 2 * M, 2) is filled with (start, code) of item, last seen and totals, then with
            (start, rows) of each measure's sums.

    Returns:
        Where the table ends; BAD for codes that are not the columns' or bytes that are too few.
    """
    columns = 2 + len(integral)
    at = start + columns
    if at > len(data):
        return BAD
    for c in range(columns):
        code = data[start + c]
        if c >= 2 and not integral[c - 2]:
            if code != float_code:
                return BAD
        elif code in (F32, F64) or width_of(code) == 0:
            return BAD
        out[c, 0], out[c, 1] = at, code
        at += width_of(code) * n
    for m in range(len(integral)):
        if at > len(data):
            return BAD
        rows = counted(data, out[2 + m, 0], n, out[2 + m, 1])
        out[columns + m, 0], out[columns + m, 1] = at, rows
        at += width_of(float_code) * half_lives * rows
    return at if at <= len(data) else BAD


@compiled
def impression_places(data, start, n, whole, out):  # type: ignore[no-untyped-def]
    """Where the columns of n impressions are.

    Args:
        whole: (A,) whether each added column holds whole numbers.
        out: (2 + A or more, 2) is filled with (start, code) of item, event time and added columns.

    Returns:
        Where they end; BAD for codes that are not the columns', bytes that are too few, or an event
        later than the newest.
    """
    columns = 2 + len(whole)
    at = start + columns
    if at > len(data):
        return BAD
    for c in range(columns):
        code = np.int64(data[start + c])
        width = code
        if c >= 2 and not whole[c - 2]:
            width = np.int64(8) if code == F64 else code - THOUSANDTHS
            if code != F64 and width not in (1, 2, 3, 4, 5):
                return BAD
        elif code not in UINTS:
            return BAD
        out[c, 0], out[c, 1] = at, code
        at += width * n
    if at > len(data):
        return BAD
    if out[1, 1] == 8:
        ages_ms = data[out[1, 0] : out[1, 0] + 8 * n].view(np.int64)
        for i in range(n):
            if ages_ms[i] < 0:
                return BAD
    return at


@compiled
def pick(data, start, n, code, rows, out):  # type: ignore[no-untyped-def]
    """out[i] = column[rows[i]], for a column of an impression with any code."""
    if code == F64:
        of_f64 = data[start : start + 8 * n].view(np.float64)
        for i in range(len(rows)):
            out[i] = of_f64[rows[i]]
        return
    width = code & ~THOUSANDTHS
    if width == 1:
        for i in range(len(rows)):
            out[i] = data[start + rows[i]]
    elif width in (2, 3):
        of_u2 = data[start : start + 2 * n].view(np.uint16)
        for i in range(len(rows)):
            out[i] = of_u2[rows[i]]
        if width == 3:
            for i in range(len(rows)):
                out[i] += np.int64(data[start + 2 * n + rows[i]]) << 16
    elif width in (4, 5):
        of_u4 = data[start : start + 4 * n].view(np.uint32)
        for i in range(len(rows)):
            out[i] = of_u4[rows[i]]
        if width == 5:
            for i in range(len(rows)):
                out[i] += np.int64(data[start + 4 * n + rows[i]]) << 32
    else:
        of_i8 = data[start : start + 8 * n].view(np.int64)
        for i in range(len(rows)):
            out[i] = of_i8[rows[i]]
    if code > THOUSANDTHS:
        for i in range(len(rows)):
            out[i] /= 1000.0


@compiled
def counted(data, start, n, code):  # type: ignore[no-untyped-def]
    """How many totals are not 0: those rows have sums."""
    if code == 1:
        return _counted(data[start : start + n])
    if code == F32:
        return _counted(data[start : start + 4 * n].view(np.float32))
    if code == F64:
        return _counted(data[start : start + 8 * n].view(np.float64))
    return _counted(integers(data, start, n, code))


@compiled
def among_counted(data, start, n, code, rows, slots):  # type: ignore[no-untyped-def]
    """Of chosen rows those whose total is not 0: places among all such, and their slots."""
    if code == 1:
        return _among(data[start : start + n], rows, slots)
    if code == F32:
        return _among(data[start : start + 4 * n].view(np.float32), rows, slots)
    if code == F64:
        return _among(data[start : start + 8 * n].view(np.float64), rows, slots)
    return _among(integers(data, start, n, code), rows, slots)


@compiled
def _counted(totals):  # type: ignore[no-untyped-def]
    found = 0
    for i in range(len(totals)):
        found += totals[i] != 0
    return found


@compiled
def _among(totals, rows, slots):  # type: ignore[no-untyped-def]
    places, into = np.empty(len(rows), np.uint32), np.empty(len(rows), np.uint32)
    before, found = np.empty(len(totals), np.uint32), 0
    for i in range(len(totals)):
        before[i] = found
        found += totals[i] != 0
    found = 0
    for i in range(len(rows)):
        places[found], into[found] = before[rows[i]], slots[i]
        found += totals[rows[i]] != 0  # else the next one takes its place
    return places[:found], into[:found]


@compiled
def integers(data, start, n, code):  # type: ignore[no-untyped-def]
    """(n,) int64 of a column of unsigned integers."""
    out = np.empty(n, np.int64)
    if code == 1:
        for i in range(n):
            out[i] = data[start + i]
    elif code in (2, 3):
        of_u2 = data[start : start + 2 * n].view(np.uint16)
        for i in range(n):
            out[i] = of_u2[i]
        if code == 3:
            for i in range(n):
                out[i] |= np.int64(data[start + 2 * n + i]) << 16
    elif code == 8:
        of_i8 = data[start : start + 8 * n].view(np.int64)
        for i in range(n):
            out[i] = of_i8[i]
    else:
        of_u4 = data[start : start + 4 * n].view(np.uint32)
        for i in range(n):
            out[i] = of_u4[i]
        if code == 5:
            for i in range(n):
                out[i] |= np.int64(data[start + 4 * n + i]) << 32
    return out


@compiled
def add_column(data, start, n, code, rows, slots, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] += column[rows[i]], for a column of any code."""
    if code == F32:
        of_f32 = data[start : start + 4 * n].view(np.float32)
        for i in range(len(rows)):
            out[slots[i]] += np.float64(of_f32[rows[i]])
    elif code == F64:
        of_f64 = data[start : start + 8 * n].view(np.float64)
        for i in range(len(rows)):
            out[slots[i]] += of_f64[rows[i]]
    elif code == 8:
        of_u8 = data[start : start + 8 * n].view(np.uint64)
        for i in range(len(rows)):
            out[slots[i]] += np.float64(of_u8[rows[i]])
    elif code == 1:
        of_u1 = data[start : start + n]
        for i in range(len(rows)):
            out[slots[i]] += of_u1[rows[i]]
    else:
        whole = integers(data, start, n, code)
        for i in range(len(rows)):
            out[slots[i]] += whole[rows[i]]


@compiled
def newest(data, start, n, code, rows, slots, newest_ms, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] = the larger of itself and newest_ms - column[rows[i]]."""
    if code in (4, 5):  # nearly all are, and of most columns only some rows are wanted
        low = data[start : start + 4 * n].view(np.uint32)
        for i in range(len(rows)):
            age_ms = np.int64(low[rows[i]])
            if code == 5:
                age_ms |= np.int64(data[start + 4 * n + rows[i]]) << 32
            out[slots[i]] = max(out[slots[i]], newest_ms - age_ms)
    else:
        ages_ms = integers(data, start, n, code)
        for i in range(len(rows)):
            out[slots[i]] = max(out[slots[i]], newest_ms - ages_ms[rows[i]])
