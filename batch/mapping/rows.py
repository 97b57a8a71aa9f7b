"""What a reader of files hands over: n rows, as they stand in the file.

Columns come in few shapes only: integers, floats, decimals, booleans, timestamps, dates, and text
as `pa.string()`; `plain_column` brings all types of Arrow into one of them. A row that is none (of
another width, a broken line) keeps its place: its cells are null and its line is in `broken`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.mapping.kinds import is_text
from impressions.core.decay import Int

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """n rows.

    Attributes:
        row_number: (n,) from 0, of the rows of data in the file.
        cells: column of the file -> (n,) array; every column of the mapping.
        garbled: (n,) a mapped text is not in the encoding of the file.
        broken: place among the n -> the line as it stands in the file.
    """

    row_number: Int
    cells: Mapping[str, pa.Array]
    garbled: Mask
    broken: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.row_number)

    @property
    def undecodable(self) -> Mask:
        """(n,) broken or garbled."""
        mask = self.garbled.copy()
        mask[list(self.broken)] = True
        return mask


def plain_column(column: pa.Array) -> tuple[pa.Array, Mask]:
    """An Arrow array of any layout in the shape that is read, and where its text is no UTF-8.

    Such a cell is null in the result.
    """
    import pyarrow as pa

    none = np.zeros(len(column), np.bool_)
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.dictionary_decode()
        type_ = column.type
    if type_ == pa.uuid():
        return _uuids(column), none
    if isinstance(type_, pa.BaseExtensionType):
        return plain_column(column.storage)
    if pa.types.is_null(type_):
        return column.cast(pa.int64()), none
    if pa.types.is_float16(type_):
        return column.cast(pa.float32()), none
    if is_text(type_):
        return _utf8(column)
    return column, none


def _utf8(column: pa.Array) -> tuple[pa.Array, Mask]:
    import pyarrow as pa

    binary = column.cast(pa.binary())
    try:
        return binary.cast(pa.string()), np.zeros(len(column), np.bool_)
    except pa.ArrowInvalid:
        cells = [_decoded(cell) for cell in binary.to_pylist()]
        texts = pa.array(cells, pa.string())
        gone = texts.is_null().to_numpy(zero_copy_only=False)
        return texts, gone & ~binary.is_null().to_numpy(zero_copy_only=False)


def _decoded(cell: bytes | None) -> str | None:
    """None where there is nothing, or bytes that are no text."""
    try:
        return None if cell is None else cell.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _uuids(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    cells = column.storage.to_pylist()
    texts = [None if cell is None else str(uuid.UUID(bytes=cell)) for cell in cells]
    return pa.array(texts, pa.string())
