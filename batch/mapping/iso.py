"""ISO times in text: a date is required, what follows it is not.

    2026-11-15                       midnight
    2026-11-15T06:00                 or a blank for the T
    2026-11-15 06:00:00.123456       any digits of a fraction; floored to the millisecond
    2026-11-15T06:00:00Z             or +01:00, +0100, +01, UTC; without one: the mapping's zone

Arrow converts the forms that most files write, once a pattern has told that it reads nothing else
into them; what is of another form goes one by one, each distinct text once.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import numpy as np

from batch.mapping.cells import Cells, absent, by_value, merged, nothing
from batch.mapping.zones import to_utc_ms

if TYPE_CHECKING:
    import pyarrow as pa

_DATE = "^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_OFFSET = "(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
_TEXT = re.compile(
    r"[ \t\r\n]*(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)"
    r"(?P<zone>Z| ?UTC| ?[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?[ \t\r\n]*"
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)
_LONGEST = 1000


def times_ms(column: pa.Array, timezone: str | None) -> Cells:
    """(n,) milliseconds of a column of text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(pc.match_substring_regex(column, r"\.[0-9]{7}")).as_py():  # more than Arrow reads
        column = pc.replace_substring_regex(column, r"(\.[0-9]{6})[0-9]{1,12}", r"\1")
    is_local = pc.match_substring_regex(column, f"{_DATE}({_TIME})?$")
    is_zoned = pc.match_substring_regex(column, f"{_DATE}{_TIME}{_OFFSET}$")
    nulls = pa.nulls(len(column), pa.string())
    try:
        local = _cast(pc.if_else(is_local, column, nulls), pa.timestamp("us"))
        zoned = _cast(pc.if_else(is_zoned, column, nulls), pa.timestamp("us", "UTC"))
        rest = pc.if_else(pc.or_(is_local, is_zoned), nulls, column)
    except pa.ArrowInvalid:  # no such day, or hour
        return by_value(column, lambda text: _one(text, timezone))
    read = Cells(to_utc_ms(local.value, timezone), local.absent, local.unreadable)
    read = merged(read, zoned)
    if rest.null_count == len(rest):
        return read
    return merged(read, by_value(rest, lambda text: _one(text, timezone)))


def _cast(texts: pa.Array, kind: pa.DataType) -> Cells:
    import pyarrow as pa

    if texts.null_count == len(texts):
        return nothing(len(texts))
    micros = texts.cast(kind).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return Cells(micros // 1000, absent(texts), np.zeros(len(texts), np.bool_))


def _one(text: str, timezone: str | None) -> int | None:
    """The same of one text."""
    parts = _TEXT.fullmatch(text) if len(text) < _LONGEST else None
    if parts is None:
        return None
    time, _, fraction = (parts["time"] or "00:00").partition(".")
    zone = (parts["zone"] or "Z").strip().replace("UTC", "Z")
    try:
        moment = dt.datetime.fromisoformat(f"{parts['day']}T{time}{zone}")
    except ValueError:
        return None
    whole_ms = (moment - _EPOCH) // _MILLISECOND + int(fraction[:3].ljust(3, "0"))
    return whole_ms if parts["zone"] else int(to_utc_ms(np.array([whole_ms]), timezone)[0])
