"""Values as text: the stated form that enters a hash, and that a text column keeps.

Each type has one:

    text        as it is
    integer     decimal digits
    boolean     true, false
    float       the shortest text that gives the same number: 1.5, 1e+16, nan
    decimal     its digits, as many as the type keeps
    timestamp   ISO in UTC, fraction only where there is one: 2026-11-15T06:00:00.5Z
    date        2026-11-15
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def text_of(column: pa.Array) -> pa.Array:
    """(n,) strings, null where absent."""
    import pyarrow as pa

    is_ = pa.types
    type_ = column.type
    if is_.is_string(type_):
        return column
    if is_.is_integer(type_) or is_.is_boolean(type_):
        return column.cast(pa.string())
    encoded = column.dictionary_encode()
    texts = pa.array(_texts(encoded.dictionary), pa.string())
    return texts.take(encoded.indices)


def _texts(values: pa.Array) -> list[str]:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_timestamp(values.type):
        return [_moment(value, values.type.unit) for value in values.cast(pa.int64()).to_pylist()]
    if is_.is_date(values.type):
        days = values.cast(pa.date32(), safe=False).cast(pa.int32()).to_pylist()
        return [str(np.datetime64(day, "D")) for day in days]
    write: Callable[[Any], str] = str
    if is_.is_float32(values.type):
        write = _float32
    elif is_.is_floating(values.type):
        write = repr
    elif is_.is_decimal(values.type):
        write = "{:f}".format
    return [write(value) for value in values.to_pylist()]


def _moment(value: int, unit: str) -> str:
    whole, point, fraction = str(np.array(value, f"M8[{unit}]")).partition(".")
    kept = fraction.rstrip("0")
    return f"{whole}{point if kept else ''}{kept}Z"


def _float32(value: float) -> str:
    return repr(float(str(np.float32(value))))
