"""Which shard owns a profile: Kafka's default partitioner over the 8-byte big-endian id.

    shard = (murmur2(key) & 0x7fffffff) mod P

The same P everywhere: topics, the Iceberg `shard` column, SST files, serving. It is computed by our
own function on both ends, never left to a client's default (they differ between libraries).
Source: Apache Kafka `org.apache.kafka.common.utils.Utils.murmur2`, seed 0x9747b28c.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int

SEED, MULTIPLIER = 0x9747B28C, 0x5BD1E995
_M = np.uint32(MULTIPLIER)


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 of any bytes, as an unsigned 32-bit integer."""
    mask, m, length = 0xFFFFFFFF, MULTIPLIER, len(data)
    h = (SEED ^ length) & mask
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[length - length % 4 :]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def shard_of(profile_id: int, partitions: int) -> int:
    """The shard of one profile."""
    return (murmur2(profile_id.to_bytes(8, "big")) & 0x7FFFFFFF) % partitions


def shards_of(profile_ids: Int, partitions: int) -> NDArray[np.int32]:
    """(n,) int32 shards of (n,) int64 profiles; equal to `shard_of` one by one."""
    words = profile_ids.astype(">i8").view("<u4").reshape(-1, 2)
    h = np.full(len(profile_ids), SEED ^ 8, np.uint32)
    for column in range(2):
        k = words[:, column].astype(np.uint32) * _M
        k = (k ^ (k >> np.uint32(24))) * _M
        h = (h * _M) ^ k
    h = (h ^ (h >> np.uint32(13))) * _M
    h ^= h >> np.uint32(15)
    return ((h & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)
