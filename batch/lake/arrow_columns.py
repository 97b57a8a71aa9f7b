"""Values of numpy and Python as columns of the tables, and columns as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batch.lake.columns import arrow_schema
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

_NULL = -1


def table_of(kinds: Mapping[str, str], n: int, **columns: Any) -> pa.Table:
    """n rows of a table; a single value stands for n, a column that is not given is null."""
    import pyarrow as pa

    schema = arrow_schema(kinds)
    arrays = [_column(columns.get(field.name), field.type, n) for field in schema]
    return pa.table(arrays, names=schema.names)


def micros(ms: Int) -> NDArray[np.datetime64]:
    """(n,) times as the tables have them."""
    return (ms * 1000).view("datetime64[us]")


def optional(numbers: Int, absent: int) -> pa.Array:
    """(n,) numbers, null where they are `absent`."""
    import pyarrow as pa

    return pa.array(numbers, mask=numbers == absent)


def shared(words: Sequence[str | None], which: NDArray[Any]) -> pa.Array:
    """(n,) texts that many rows share, each once in memory: `words` by their place."""
    import pyarrow as pa

    empty = [i for i, word in enumerate(words) if word is None]
    mask = np.isin(which, empty) if empty else None
    return pa.DictionaryArray.from_arrays(
        pa.array(which.astype(np.int32), mask=mask), pa.array([w or "" for w in words], pa.string())
    )


def integers(rows: pa.Table, name: str) -> Int:
    """(n,) a column of whole numbers or times; -1 where it is null, as only in rows that somebody
    else wrote: equal to one another, and to nothing."""
    import pyarrow as pa

    column = rows[name].cast(pa.int64())
    return np.asarray((column.fill_null(_NULL) if column.null_count else column).to_numpy())


def _column(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    import pyarrow as pa

    if values is None:
        return pa.nulls(n, kind)
    if isinstance(values, str | int):
        return pa.repeat(pa.scalar(values, kind), n)
    if isinstance(values, list):
        return pa.array(values, kind)
    if isinstance(values, pa.Array):
        return values if pa.types.is_dictionary(values.type) else values.cast(kind)
    return pa.array(values).cast(kind)
