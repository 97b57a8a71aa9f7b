"""One column of a file as integers, read strictly.

A value that is absent and a value that is there but cannot be read are two things: defaults stand
in for the first only. What Arrow converts as strictly as is stated is converted at once; the rest
value by value, each distinct one once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.mapping import numbers
from batch.mapping.rows import Mask
from impressions.core.decay import Float, Int

if TYPE_CHECKING:
    import pyarrow as pa

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EXACT = 2**53  # above it a double holds no longer every whole number
_TRUE_FALSE = {"true": 1, "false": 0}


@dataclass(frozen=True)
class Cells:
    """n values; meaningless where `absent` or `unreadable`."""

    value: Int
    absent: Mask
    unreadable: Mask

    def filled(self, absent: int, unreadable: int) -> Int:
        """The values, with these in the gaps."""
        value = self.value
        if self.absent.any():
            value = np.where(self.absent, absent, value)
        if self.unreadable.any():
            value = np.where(self.unreadable, unreadable, value)
        return value


def nothing(n: int) -> Cells:
    """A column that is not mapped."""
    return Cells(np.zeros(n, np.int64), np.ones(n, np.bool_), np.zeros(n, np.bool_))


def absent(column: pa.Array) -> Mask:
    """(n,) where there is no value."""
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def whole_numbers(column: pa.Array) -> Cells:
    """Whole numbers of 64 bits; fractions, and text that is no number, are unreadable."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_string(column.type):
        return _whole_texts(column)
    if is_.is_floating(column.type):
        given, none = floats(column), absent(column)
        whole = (np.abs(given) <= _EXACT) & (given == np.floor(given))
        return Cells(np.where(whole, given, 0).astype(np.int64), none, ~whole & ~none)
    if is_.is_decimal(column.type):
        return by_value(column, numbers.whole_decimal)
    value, none = integers(column)
    if column.type == pa.uint64():
        return Cells(value, none, (value < 0) & ~none)
    return Cells(value, none, np.zeros(len(value), np.bool_))


def yes_or_no(column: pa.Array) -> Cells:
    """0 and 1 of booleans, of the numbers 0 and 1, or of text that says so."""
    import pyarrow as pa

    if pa.types.is_string(column.type):
        return by_value(column, _yes_or_no)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers = whole_numbers(column)
    neither = ~numbers.absent & (numbers.value != 0) & (numbers.value != 1)
    return Cells(numbers.value, numbers.absent, numbers.unreadable | neither)


def seconds(column: pa.Array, unit: str) -> Float:
    """Seconds; 0 where absent, NaN where unreadable."""
    import pyarrow as pa

    value = floats(column) if not pa.types.is_string(column.type) else numbers.floats(column)
    none = absent(column)
    if none.any():
        value = np.where(none, 0.0, value)
    return value if unit == "s" else value / PER_SECOND[unit]


def integers(column: pa.Array) -> tuple[Int, Mask]:
    """(values, absent) of an array of integers; unsigned ones from 2^63 on come out negative."""
    import pyarrow as pa

    none = absent(column)
    filled = column.fill_null(0) if column.null_count else column
    wide = filled.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(wide, np.int64), none


def floats(column: pa.Array) -> Float:
    """float64 of any numbers; NaN where absent."""
    import pyarrow as pa

    wide = column.cast(pa.float64(), safe=False)
    return np.asarray(wide.to_numpy(zero_copy_only=False), np.float64)


def by_value(column: pa.Array, read: Callable[[Any], int | None]) -> Cells:
    """`read` of each distinct value, once; None is unreadable."""
    encoded = column.dictionary_encode()
    none = absent(column)
    numbers = [read(value) for value in encoded.dictionary.to_pylist()]
    if not numbers:
        return nothing(len(column))
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    value = np.array([0 if number is None else number for number in numbers], np.int64)
    unreadable = np.array([number is None for number in numbers], np.bool_)
    return Cells(value[codes], none, unreadable[codes] & ~none)


def merged(some: Cells, others: Cells) -> Cells:
    """Two readings of one column, each absent where the other has a value."""
    return Cells(
        np.where(some.absent, others.value, some.value),
        some.absent & others.absent,
        (some.unreadable & ~some.absent) | (others.unreadable & ~others.absent),
    )


def _whole_texts(column: pa.Array) -> Cells:
    plain, rest = numbers.plain_integers(column)
    value, none = integers(plain)
    cells = Cells(value, none, np.zeros(len(value), np.bool_))
    return cells if rest is None else merged(cells, by_value(rest, numbers.whole_text))


def _yes_or_no(text: str) -> int | None:
    known = _TRUE_FALSE.get(text.strip(numbers.BLANKS).lower())
    number = known if known is not None else numbers.whole_text(text)
    return number if number in (0, 1) else None
