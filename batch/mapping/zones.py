"""Local times to UTC.

A local time that comes twice (clocks set back) is the first of the two. One that does not exist
(clocks set forward) is read as if the clock had not been set yet: 02:30 is 03:30 of summer time.
Zones change on whole minutes, so each distinct minute is looked up once.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo

import numpy as np

from impressions.core.decay import Int

_MINUTE_MS = 60_000
_EPOCH = dt.datetime(1970, 1, 1)
_FIRST, _LAST = -1_033_585_920, 4_223_370_239  # minutes of the years 5 to 9999


def to_utc_ms(local_ms: Int, timezone: str | None) -> Int:
    """(n,) milliseconds, local to a zone; as they are where it is None or no calendar reaches."""
    if timezone is None or not len(local_ms):
        return local_ms
    zone = zoneinfo.ZoneInfo(timezone)
    minutes, place = np.unique(local_ms // _MINUTE_MS, return_inverse=True)
    offsets = np.array([_offset_ms(minute, zone) for minute in minutes.tolist()], np.int64)
    return local_ms - offsets[place]


def _offset_ms(minute: int, zone: zoneinfo.ZoneInfo) -> int:
    if not _FIRST <= minute <= _LAST:
        return 0
    offset = zone.utcoffset(_EPOCH + dt.timedelta(minutes=minute))
    return offset // dt.timedelta(milliseconds=1) if offset is not None else 0
