"""Time: the one place that reads it.

A `Clock` is anything that returns milliseconds since 1970 UTC when called. Code that needs the time
takes a clock (or a time) from its caller; only an entry point passes `now_ms`. So every rule about
days, slots and horizons can be tested at any moment without waiting for it. A batch job gets its
time as an argument and needs no clock at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC, by the wall clock: may step back."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds that never step back, from an arbitrary start: for durations and deadlines."""
    return time.monotonic()
