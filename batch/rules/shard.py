"""The shard of a profile as a Spark expression: the twin of impressions/core/shard.py.

Kafka's murmur2 over the 8-byte big-endian id, in bigint and masked to 32 bits after each step,
because Spark's ANSI mode raises where 32-bit arithmetic would wrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

_SEED, _M, _MASK = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def shard_column(profile_id: Column, partitions: int) -> Column:
    """int in [0, partitions) of a bigint column."""
    from pyspark.sql import functions as F

    positive = _murmur2_be64(profile_id).bitwiseAND(F.lit(0x7FFFFFFF))
    return F.pmod(positive, F.lit(partitions)).cast("int")


def _murmur2_be64(key: Column) -> Column:
    from pyspark.sql import functions as F

    h = F.lit((_SEED ^ 8) & _MASK).cast("bigint")
    for word in (F.shiftrightunsigned(key, 32), key.bitwiseAND(F.lit(_MASK))):
        k = _times_m(_xor_shift(_times_m(_swapped(word)), 24))
        h = _times_m(h).bitwiseXOR(k)
    return _xor_shift(_times_m(_xor_shift(h, 13)), 15)


def _times_m(x: Column) -> Column:
    from pyspark.sql import functions as F

    return (x * F.lit(_M).cast("bigint")).bitwiseAND(F.lit(_MASK))


def _xor_shift(x: Column, bits: int) -> Column:
    from pyspark.sql import functions as F

    return x.bitwiseXOR(F.shiftrightunsigned(x, bits))


def _swapped(word: Column) -> Column:
    """The four bytes of a 32-bit word in the other order: the hash reads little-endian."""
    from pyspark.sql import functions as F

    swapped = F.lit(0).cast("bigint")
    for i in range(4):
        byte = F.shiftrightunsigned(word, 8 * i).bitwiseAND(F.lit(0xFF))
        swapped = swapped.bitwiseOR(F.shiftleft(byte, 24 - 8 * i))
    return swapped
