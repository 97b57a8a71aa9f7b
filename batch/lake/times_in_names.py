"""The time that is part of a file's name: when its writer's clock says that it was begun.

Names of data files that this code writes are UUIDs of version 7, whose first 48 bits are
milliseconds since 1970. So a file says its age twice: by its name, and by the store's clock. Spark
and earlier versions of this code write UUIDs of version 4, which say nothing.
"""

from __future__ import annotations

import re
import secrets
from uuid import UUID

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SEVEN, _VARIANT = 7 << 76, 2 << 62
_LOW_BITS, _MIDDLE_BITS = 62, 12


def new_name(now_ms: int) -> str:
    """A name that nobody else makes."""
    random = secrets.randbits(_LOW_BITS + _MIDDLE_BITS)
    middle, low = random >> _LOW_BITS, random & ((1 << _LOW_BITS) - 1)
    return str(UUID(int=now_ms << 80 | _SEVEN | middle << 64 | _VARIANT | low))


def time_in(path: str) -> int | None:
    """The newest time in the last part of a path, in ms; None where it has none."""
    found = [UUID(text) for text in _UUID.findall(path.rpartition("/")[2])]
    return max((one.int >> 80 for one in found if one.version == 7), default=None)
