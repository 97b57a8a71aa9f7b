"""Rows as they stood in the file: what the table of rejected rows keeps of each.

A JSON object of the mapped columns; numbers and truth as such, absent as null, the rest as text. A
row that is none is its line. Each is bounded: what is longer is cut, and says so.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from batch.mapping.rows import Rows
from batch.mapping.texts import text_of
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CHARS = 64 * 1024


def shown(rows: Rows, which: Int, limit: int = MAX_CHARS) -> list[str]:
    """One text per row of `which`, an index of the rows; each at most about `limit` long."""
    import pyarrow as pa

    places = pa.array(which)
    columns = {name: _values(column.take(places)) for name, column in rows.cells.items()}
    texts = []
    for i, place in enumerate(which.tolist()):
        if place in rows.broken:
            texts.append(_cut(rows.broken[place], limit))
            continue
        row = {name: values[i] for name, values in columns.items()}
        text = json.dumps(row, ensure_ascii=False)
        if len(text) > limit:
            share = max(32, limit // (2 * len(row)))
            row = {name: _cut(value, share) for name, value in row.items()}
            text = json.dumps(row, ensure_ascii=False)
        texts.append(text)
    return texts


def _values(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_integer(column.type) or is_.is_boolean(column.type):
        return list(column.to_pylist())
    if is_.is_floating(column.type):
        return [
            value if value is None or math.isfinite(value) else repr(value)
            for value in column.to_pylist()
        ]
    return list(text_of(column).to_pylist())


def _cut(value: Any, limit: int) -> Any:
    if not isinstance(value, str) or len(value) <= limit:
        return value
    return f"{value[:limit]}... (cut; {len(value):,} characters)"
