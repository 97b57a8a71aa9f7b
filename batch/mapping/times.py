"""Times as whole milliseconds since 1970: floored, and saturated where 64 bits end.

    numbers          in the unit that the mapping states, digits in text included
    timestamps       in the unit of their type; dates are midnights
    iso, strptime    text (batch/mapping/iso.py)

A time that states no zone is UTC, or local time of the mapping's zone (batch/mapping/zones.py).
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from batch.mapping import iso, numbers
from batch.mapping.cells import PER_SECOND, Cells, by_value, floats, integers, merged, nothing
from batch.mapping.cells import absent as absent_of
from batch.mapping.grammar import Source
from batch.mapping.zones import to_utc_ms
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

SAFE_MS = 1 << 60  # differences of two such times do not overflow
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_MS = 86_400_000


def times_ms(column: pa.Array, source: Source, timezone: str | None) -> Cells:
    """(n,) milliseconds of one column as its mapping says."""
    import pyarrow as pa

    is_ = pa.types
    if column.null_count == len(column):
        return nothing(len(column))
    if is_.is_temporal(column.type):
        return _temporal(column, timezone)
    if source.pattern is not None:
        pattern = source.pattern
        return by_value(column, lambda text: _strptime_ms(text, pattern, timezone))
    if source.unit == "iso":
        return iso.times_ms(column, timezone)
    unit = source.unit or "ms"
    if is_.is_string(column.type):
        return _texts(column, unit)
    if is_.is_floating(column.type):
        return _floats(column, unit)
    if is_.is_decimal(column.type):
        return by_value(column, lambda number: _exact_ms(number, unit))
    return _integers(column, unit)


def _integers(column: pa.Array, unit: str) -> Cells:
    import pyarrow as pa

    value, none = integers(column)
    if column.type == pa.uint64():
        value = np.where(value < 0, np.iinfo(np.int64).max, value)
    return Cells(_to_ms(value, unit), none, np.zeros(len(value), np.bool_))


def _temporal(column: pa.Array, timezone: str | None) -> Cells:
    import pyarrow as pa

    none = absent_of(column)
    if pa.types.is_date32(column.type):
        value = integers(column.cast(pa.int32()))[0] * _DAY_MS
    elif pa.types.is_date64(column.type):
        value = _to_ms(integers(column.cast(pa.int64()))[0], "ms")
    else:
        value = _to_ms(integers(column.cast(pa.int64()))[0], column.type.unit)
    if getattr(column.type, "tz", None) is None:
        value = to_utc_ms(value, timezone)
    return Cells(value, none, np.zeros(len(value), np.bool_))


def _texts(column: pa.Array, unit: str) -> Cells:
    digits, rest = numbers.plain_integers(column)
    cells = _integers(digits, unit)
    if rest is None:
        return cells
    return merged(cells, by_value(rest, lambda text: _exact_ms(numbers.exact(text), unit)))


def _floats(column: pa.Array, unit: str) -> Cells:
    """A double of seconds holds no more than microseconds: rounding to them first keeps
    1650000000.123 from becoming 122 ms."""
    value, none = floats(column), absent_of(column)
    finite = np.isfinite(value)
    with np.errstate(over="ignore"):
        micros = np.rint(np.where(finite, value, 0) * (1e6 / PER_SECOND[unit]))
    limit = float(SAFE_MS)
    ms = np.clip(np.floor(micros / 1000), -limit, limit).astype(np.int64)
    return Cells(ms, none, ~finite & ~none)


def _exact_ms(number: Decimal | None, unit: str) -> int | None:
    if number is None or not number.is_finite():
        return None
    if number.adjusted() > 40:
        return SAFE_MS if number > 0 else -SAFE_MS
    if number.adjusted() < -40:
        return -1 if number < 0 else 0
    floored = math.floor(number * 1000 / PER_SECOND[unit])
    return max(-SAFE_MS, min(SAFE_MS, floored))


def _strptime_ms(text: str, pattern: str, timezone: str | None) -> int | None:
    if any(sign.isdigit() and not sign.isascii() for sign in text):
        return None
    try:
        moment = dt.datetime.strptime(text.strip(numbers.BLANKS), pattern)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return (moment - _EPOCH) // dt.timedelta(milliseconds=1)
    local_ms = (moment.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)
    return int(to_utc_ms(np.array([local_ms]), timezone)[0])


def _to_ms(value: Int, unit: str) -> Int:
    if unit == "s":
        return np.clip(value, -SAFE_MS // 1000, SAFE_MS // 1000) * 1000
    divisor = PER_SECOND[unit] // 1000
    return np.clip(value if divisor == 1 else value // divisor, -SAFE_MS, SAFE_MS)
