"""String ids to integers in Spark: the twin of impressions/ids.py, and ids made of several columns.

    hash_id(text, bits)      first 8 bytes, big-endian, of SHA-256(UTF-8 text), low `bits` bits
    content_hash(columns)    the same of all values as one text, each followed by 0x1F, a null as
                             0x00: ("a", null) is `a 1F 00 1F`, so ("ab","") and ("a","b") differ

Numbers enter a content hash as Spark writes them as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impressions.ids import LOG_BITS

if TYPE_CHECKING:
    from pyspark.sql import Column

SEPARATOR, NULL = "\x1f", "\x00"


def hash_id(text: Column, bits: int) -> Column:
    """bigint in [0, 2^bits); null for null."""
    from pyspark.sql import functions as F

    digest = F.sha2(text.cast("string"), 256)

    def word(start: int) -> Column:
        return F.conv(F.substring(digest, start, 8), 16, 10).cast("bigint")

    high = word(1).bitwiseAND(F.lit((1 << (bits - 32)) - 1))
    return F.shiftleft(high, 32).bitwiseOR(word(9))


def content_hash(columns: Sequence[Column]) -> Column:
    """bigint in [0, 2^63) of the values of several columns; never null."""
    from pyspark.sql import functions as F

    parts = [F.coalesce(column.cast("string"), F.lit(NULL)) for column in columns]
    return hash_id(F.concat_ws(SEPARATOR, *parts, F.lit("")), LOG_BITS)
