"""One column of a file as numbers, read as strictly as the import reads it.

A value that is absent and a value that is there but cannot be read are two things: defaults stand
in for the first only. Times are floored to whole milliseconds. Wide columns of plain integers are
converted at once, whatever is text one by one.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batch.mapping import Kind, Source
from impressions.decay import Float, Int
from impressions.ids import hash_id

if TYPE_CHECKING:
    import pyarrow as pa

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INT64 = range(-(1 << 63), 1 << 63)
_SAFE_MS = 1 << 60  # differences of two such times do not overflow
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TRUE_FALSE = {"true": 1, "1": 1, "false": 0, "0": 0}


@dataclass(frozen=True)
class Cells:
    """n values; meaningless where `absent` or `unreadable`."""

    value: Int
    absent: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]

    def filled(self, absent: int, unreadable: int) -> Int:
        """The values, with these in the gaps."""
        return np.where(self.absent, absent, np.where(self.unreadable, unreadable, self.value))


def nothing(n: int) -> Cells:
    """A column that is not mapped."""
    return Cells(np.zeros(n, np.int64), np.ones(n, np.bool_), np.zeros(n, np.bool_))


def whole_numbers(column: pa.ChunkedArray) -> Cells:
    """Integers; fractions, and text that is no integer, are unreadable."""
    return _integers(column) or _one_by_one(column, _whole_number)


def hashes(column: pa.ChunkedArray, bits: int) -> Cells:
    """Text ids through the stated hash (impressions/ids.py)."""
    return _one_by_one(column, lambda value: hash_id(str(value), bits))


def yes_or_no(column: pa.ChunkedArray) -> Cells:
    """0 and 1 of booleans, of the numbers 0 and 1, or of text that says so."""

    def read(value: Any) -> int | None:
        if isinstance(value, str):
            return _TRUE_FALSE.get(value.strip().lower())
        return int(value) if value in (0, 1) else None

    return _one_by_one(column, read)


def seconds(column: pa.ChunkedArray, unit: str) -> Float:
    """Seconds; 0 where absent, NaN where unreadable."""
    per_second = _PER_SECOND[unit]

    def read(value: Any) -> float:
        try:
            return 0.0 if value is None else float(value) / per_second
        except ValueError:
            return math.nan

    return np.array([read(value) for value in column.to_pylist()], np.float64)


def times_ms(column: pa.ChunkedArray, source: Source, kind: Kind) -> Cells:
    """Milliseconds since 1970 in the stated unit."""
    import pyarrow as pa

    if kind in ("timestamp", "timestamp_ns"):
        cells = _integers(column.cast(pa.int64()))
        unit = column.type.unit
    else:
        cells, unit = _integers(column), source.unit or "ms"
    if cells is None:
        return _one_by_one(column, lambda value: _time_ms(value, unit))
    return Cells(_to_ms(cells.value, unit), cells.absent, cells.unreadable)


def texts(column: pa.ChunkedArray) -> list[str]:
    """Text; empty where absent."""
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _integers(column: pa.ChunkedArray) -> Cells | None:
    """A column of integers that fit 64 bits, at once; None: of another type."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type) or column.type == pa.uint64():
        return None
    value = column.cast(pa.int64()).fill_null(0).to_numpy()
    absent = column.is_null().to_numpy()
    return Cells(value, absent, np.zeros(len(value), np.bool_))


def _one_by_one(column: pa.ChunkedArray, read: Callable[[Any], int | None]) -> Cells:
    n = len(column)
    value = np.zeros(n, np.int64)
    absent, unreadable = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for i, cell in enumerate(column.to_pylist()):
        if cell is None:
            absent[i] = True
        elif (number := read(cell)) is None:
            unreadable[i] = True
        else:
            value[i] = number
    return Cells(value, absent, unreadable)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str):
        number = int(value) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", value) else None
    else:
        number = int(value) if math.isfinite(value) and value == int(value) else None
    return number if number is not None and number in _INT64 else None


def _time_ms(value: Any, unit: str) -> int | None:
    if unit == "iso":
        return _iso_ms(str(value))
    if isinstance(value, float):
        # A double of seconds holds no more than microseconds: rounding to them first keeps
        # 1650000000.123 from becoming 122 ms.
        return (
            _cut(round(value * 1e6 / _PER_SECOND[unit]) // 1000) if math.isfinite(value) else None
        )
    try:
        exact = Decimal(value.strip() if isinstance(value, str) else value)
        return _cut(math.floor(exact * 1000 / _PER_SECOND[unit]))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _iso_ms(text: str) -> int | None:
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH
    return since // dt.timedelta(milliseconds=1)


def _to_ms(value: Int, unit: str) -> Int:
    if unit == "s":
        return np.clip(value, -_SAFE_MS // 1000, _SAFE_MS // 1000) * 1000
    return np.clip(value // (_PER_SECOND[unit] // 1000), -_SAFE_MS, _SAFE_MS)


def _cut(time_ms: int) -> int:
    return max(-_SAFE_MS, min(_SAFE_MS, time_ms))
