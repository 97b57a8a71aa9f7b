"""Fifteen decayed sums of a (profile, title, location) and day, one impression at a time.

As one would write it by hand for a key-value state: the same sums that a delta block holds, against
the start of the day, so that they only ever add. Standard library only: peers run it, too.
"""

from __future__ import annotations

DAY_MS = 86_400_000
HALF_LIVES_DAYS = (1, 7, 30, 180, 365)
_RATES = tuple(1.0 / (days * DAY_MS) for days in HALF_LIVES_DAYS)

Sums = list[float]
"""last seen in ms, impressions, plays, dwell_s, then 5 sums of each of the three measures."""


def key(day: int, profile_id: int, title_id: int, location: int) -> str:
    """Where a pair's sums of a day lie."""
    return f"{day}:{profile_id}:{title_id}:{location}"


def zeros() -> Sums:
    return [0.0] * (4 + 3 * len(HALF_LIVES_DAYS))


def add(held: Sums, day: int, event_ms: int, played: bool, dwell_s: float) -> Sums:
    """`held` with one impression more."""
    age_ms = day * DAY_MS - event_ms
    weights = [2.0 ** (-age_ms * rate) for rate in _RATES]
    plays = float(played)
    return [
        max(held[0], event_ms),
        held[1] + 1.0,
        held[2] + plays,
        held[3] + dwell_s,
        *[s + w for s, w in zip(held[4:9], weights, strict=True)],
        *[s + plays * w for s, w in zip(held[9:14], weights, strict=True)],
        *[s + dwell_s * w for s, w in zip(held[14:19], weights, strict=True)],
    ]
