"""String ids become integers through one stated hash.

    id = first 8 bytes, big-endian, of SHA-256(UTF-8 text), keeping the low `bits` bits

63 bits for profiles and log ids, 55 for titles (impressions/core/item.py). Any language and Spark's
`sha2` compute the same. Two of n different strings share an id with probability about
n^2 / 2^(bits + 1): 1.4e-5 for a million titles, 5.4e-6 for ten million profiles.
"""

from __future__ import annotations

import hashlib

from impressions.core.spec import ITEM_LOCATION_BITS

PROFILE_BITS = 63
TITLE_BITS = 63 - ITEM_LOCATION_BITS
LOG_BITS = 63


def hash_id(text: str, bits: int) -> int:
    """The integer id of a string, in [0, 2^bits)."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") & ((1 << bits) - 1)
