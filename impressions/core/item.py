"""Ids and their ranges, and the item key: (title, location) as one sortable integer.

    item = title << 8 | location

Sorted items are sorted by title, then location, so all locations of a title are one slice and a
selection of titles is a binary search. Every id fits a signed 64-bit integer that is not negative,
because Spark sorts bigint signed while RocksDB sorts bytes unsigned; in this range both agree.
"""

from __future__ import annotations

import numpy as np

from impressions.core.decay import Int
from impressions.core.spec import ITEM_LOCATION_BITS

MAX_PROFILE = 2**63 - 1
MAX_TITLE = 2 ** (63 - ITEM_LOCATION_BITS) - 1
MAX_LOCATION = 2**ITEM_LOCATION_BITS - 1


def pack(title_id: Int, location: Int) -> Int:
    """(n,) int64 item keys of ids that are in range."""
    return (title_id.astype(np.int64) << ITEM_LOCATION_BITS) | location.astype(np.int64)


def title_of(items: Int) -> Int:
    return items >> np.int64(ITEM_LOCATION_BITS)


def location_of(items: Int) -> Int:
    return items & np.int64(MAX_LOCATION)


def profile_key(profile_id: int) -> bytes:
    """The key of a profile everywhere: 8 bytes big-endian, so bytes sort like numbers."""
    return profile_id.to_bytes(8, "big")


def profile_of_key(key: bytes) -> int:
    return int.from_bytes(key, "big")
