"""Numbers in text, strictly.

    whole     -17, +17, 007 and 17850.0 (as a table with gaps writes 17850); within 64 bits
    any       1.5, .5, 5., 1e3, -1E-3, and for measures nan and inf, which no rule lets through
    neither   1d, 1_000, 0x10, 1,5, full-width digits; for whole numbers also 1e3

Blanks around a number do not matter. Arrow's conversion is used for all that it reads in the same
way; it would read 0x10 as sixteen.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import numpy as np

from impressions.core.decay import Float

if TYPE_CHECKING:
    import pyarrow as pa

BLANKS = " \t\r\n"
_INT64 = range(-(1 << 63), 1 << 63)
_WHOLE = re.compile(r"([+-]?[0-9]+)(\.0+)?", re.ASCII)
_ANY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?", re.ASCII)
_PLAIN = "^-?[0-9]{1,18}$"
_DIGITS = 400  # of a number; more is no number of anybody's


def plain_integers(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """(int64 of the texts that are plain digits, the other texts or None), both of full length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        whole = column.cast(pa.int64())
        hexadecimal = pc.or_(pc.match_substring(column, "x"), pc.match_substring(column, "X"))
        if not pc.any(hexadecimal).as_py():
            return whole, None
    except pa.ArrowInvalid:
        pass
    plain = pc.match_substring_regex(column, _PLAIN)
    nulls = pa.nulls(len(column), pa.string())
    digits = pc.if_else(plain, column, nulls).cast(pa.int64())
    return digits, pc.if_else(plain, nulls, column)


def whole_text(text: str) -> int | None:
    """A whole number of 64 bits; None: the text is none."""
    parts = _WHOLE.fullmatch(text.strip(BLANKS)) if len(text) < _DIGITS else None
    if parts is None:
        return None
    number = int(parts[1])
    return number if number in _INT64 else None


def whole_decimal(value: Decimal) -> int | None:
    """The same of a decimal."""
    if value != value.to_integral_value():
        return None
    return int(value) if int(value) in _INT64 else None


def exact(text: str) -> Decimal | None:
    """A number as it is written; None: the text is none."""
    stripped = text.strip(BLANKS)
    if len(stripped) > _DIGITS or not _ANY.fullmatch(stripped):
        return None
    try:
        return Decimal(stripped)
    except InvalidOperation:
        return None


def floats(column: pa.Array) -> Float:
    """(n,) float64 of texts; NaN where absent or unreadable."""
    import pyarrow as pa

    try:
        cast = column.cast(pa.float64())
        return np.asarray(cast.to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid:
        encoded = column.dictionary_encode()
        values = [_float(text) for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*values, math.nan], np.float64)[codes])


def _float(text: str) -> float:
    stripped = text.strip(BLANKS)
    known = len(stripped) <= _DIGITS and _ANY.fullmatch(stripped)
    return float(stripped) if known else math.nan
