"""Ids made of text, of one column or of several.

    column:hash        impressions/core/ids.py over the text of the value (batch/mapping/texts.py)
    hash(a,b,...)      the same of all values as one text, each followed by 0x1F, a null as 0x00:
                       ("a", null) is `a 1F 00 1F`, so ("ab", "") and ("a", "b") differ

An empty text names nobody: it is there and cannot be read, for as one id it would stand for all
that have none. A log_id is never 0, which says "none" on the wire. Each distinct text is hashed
once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.mapping.cells import Cells, absent, nothing
from batch.mapping.texts import text_of
from impressions.core.decay import Int
from impressions.core.ids import LOG_BITS, hash_id

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATOR, NULL = "\x1f", "\x00"


def hashes(column: pa.Array, bits: int, never_zero: bool = False) -> Cells:
    """(n,) ids of `bits` bits of one column's texts."""
    none = absent(column)
    encoded = text_of(column).dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    if not texts:
        return nothing(len(column))
    ids = hashed(texts, bits)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    empty = np.array([text == "" for text in texts], np.bool_)
    value = np.maximum(ids, 1) if never_zero else ids
    return Cells(value[codes], none, empty[codes] & ~none)


def content_ids(columns: Sequence[pa.Array]) -> Int:
    """(n,) one log_id of several columns."""
    texts = [text_of(column).fill_null(NULL).to_pylist() for column in columns]
    joined = [SEPARATOR.join((*row, "")) for row in zip(*texts, strict=True)]
    distinct = list(dict.fromkeys(joined))
    place = dict(zip(distinct, range(len(distinct)), strict=True))
    ids = np.maximum(hashed(distinct, LOG_BITS), 1)
    return ids[np.fromiter((place[text] for text in joined), np.int64, len(joined))]


def content_id(values: Sequence[object]) -> int:
    """The same of one row of numbers and texts."""
    parts = [NULL if value is None else str(value) for value in values]
    return hash_id(SEPARATOR.join([*parts, ""]), LOG_BITS) or 1


def hashed(texts: Sequence[str], bits: int) -> Int:
    """(n,) what `impressions.ids.hash_id` gives, many at once."""
    sha256 = hashlib.sha256
    words = b"".join([sha256(text.encode()).digest()[:8] for text in texts])
    return (np.frombuffer(words, ">u8") & np.uint64((1 << bits) - 1)).astype(np.int64)
