"""ISO times in text: a date is required, what follows it is not.

    2026-11-15                       midnight
    2026-11-15T06:00                 or a blank for the T
    2026-11-15 06:00:00.123456       any digits of a fraction; floored to the millisecond
    2026-11-15T06:00:00Z             or +01:00, +0100, +01, UTC; without one: the mapping's zone

Most files write all their times in one form. So texts of one length become a matrix of bytes, rows
of one shape (digits as 0) are found by comparing, the shape is read once by the grammar, and its
numbers are then read from columns of the matrix. What is of a rare shape goes one by one through
the same grammar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.mapping.cells import Cells, absent, by_value, nothing
from batch.mapping.rows import Mask
from batch.mapping.zones import to_utc_ms
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

Chars = NDArray[np.uint8]


def _grammar(digit: str) -> re.Pattern[str]:
    two, blanks = f"{digit}{{2}}", "[ \t\r\n]*"
    return re.compile(
        rf"{blanks}(?P<year>{digit}{{4}})-(?P<month>{two})-(?P<day>{two})"
        rf"(?:[T ](?P<hour>{two}):(?P<minute>{two})(?::(?P<second>{two})"
        rf"(?:\.(?P<fraction>{digit}+))?)?"
        rf"(?P<zone>Z| ?UTC| ?[+-](?P<off_hour>{two})(?::?(?P<off_minute>{two}))?)?)?{blanks}"
    )


_SHAPE, _TEXT = _grammar("0"), _grammar("[0-9]")
_LONGEST = 64
_SHAPES = 6  # of one length, that are read together
_DAYS_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_DAYS_IN = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def times_ms(column: pa.Array, timezone: str | None) -> Cells:
    """(n,) milliseconds of a column of text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    none = absent(column)
    value, done = np.zeros(len(column), np.int64), none.copy()
    unreadable = np.zeros(len(column), np.bool_)
    lengths = pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, _LONGEST))).tolist():
        if not 10 <= length < _LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        chars = _matrix(column if len(rows) == len(column) else column.take(pa.array(rows)), length)
        for members, shape in _shapes(chars):
            value[rows[members]], bad = _read(chars[members], shape, timezone)
            unreadable[rows[members]] = bad
            done[rows[members]] = True
    if done.all():
        return Cells(value, none, unreadable)
    rest = pc.if_else(pa.array(done), pa.scalar(None, pa.string()), column)
    rare = by_value(rest, lambda text: _one(text, timezone)) if len(rest) else nothing(0)
    return Cells(np.where(done, value, rare.value), none, np.where(done, unreadable,
                                                                   rare.unreadable))  # fmt: skip


def _matrix(texts: pa.Array, length: int) -> Chars:
    """(n, length) bytes of texts that have this length and are all there."""
    _, offsets, data = texts.buffers()
    start = int(np.frombuffer(offsets, np.int32, 1, texts.offset * 4)[0])
    return np.frombuffer(data, np.uint8, len(texts) * length, start).reshape(-1, length)


def _shapes(chars: Chars) -> list[tuple[Int, re.Match[str]]]:
    """(rows, how they are to be read) for the common shapes that are times."""
    shapes = np.where((chars >= ord("0")) & (chars <= ord("9")), np.uint8(ord("0")), chars)
    left, of_shape = np.arange(len(chars)), []
    for _ in range(_SHAPES):
        if not len(left):
            break
        same = (shapes[left] == shapes[left[0]]).all(axis=1)
        match = _SHAPE.fullmatch(shapes[left[0]].tobytes().decode("latin-1"))
        if match:
            of_shape.append((left[same], match))
        left = left[~same]
    return of_shape


def _read(chars: Chars, shape: re.Match[str], timezone: str | None) -> tuple[Int, Mask]:
    """(milliseconds, whether a number is out of its range) of texts of one shape."""

    def number(name: str, digits: int = 4) -> Int:
        start, end = shape.span(name)
        total = np.zeros(len(chars), np.int64)
        for place in range(start, min(end, start + digits)):
            total = total * 10 + (chars[:, place] - np.uint8(ord("0")))
        return total

    year, month, day = number("year"), number("month"), number("day")
    hour, minute, second = number("hour"), number("minute"), number("second")
    start, end = shape.span("fraction")
    millis = number("fraction", 3) * 10 ** max(0, 3 - (end - start))
    off_hour, off_minute = number("off_hour"), number("off_minute")
    days, bad = _days(year, month, day)
    bad |= (hour > 23) | (minute > 59) | (second > 59) | (off_hour > 23) | (off_minute > 59)
    local_ms = days * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1000 + millis
    if shape["zone"] is None:
        return to_utc_ms(np.where(bad, 0, local_ms), timezone), bad
    sign = -1 if "-" in shape["zone"] else 1
    return local_ms - sign * (off_hour * 3_600_000 + off_minute * 60_000), bad


def _days(year: Int, month: Int, day: Int) -> tuple[Int, Mask]:
    """(days since 1970, whether there is no such day)."""
    bad = (year < 1) | (month < 1) | (month > 12)
    month = np.where(bad, 1, month)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    bad |= (day < 1) | (day > _DAYS_IN[month] + (leap & (month == 2)))
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162
    return days + _DAYS_BEFORE[month] + (leap & (month > 2)) + day - 1, bad


def _one(text: str, timezone: str | None) -> int | None:
    """The same of one text."""
    parts = _TEXT.fullmatch(text)
    if parts is None or len(text) > 1000:
        return None
    chars = np.frombuffer(text.encode("latin-1"), np.uint8).reshape(1, -1)
    value, bad = _read(chars, parts, timezone)
    return None if bad[0] else int(value[0])
