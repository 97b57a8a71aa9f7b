"""Whether this machine's clock is set, and did not step while the other checks ran."""

from __future__ import annotations

from impressions.clock import monotonic_s, now_ms
from impressions.core.errors import NotReady
from impressions.terminal.console import human_time

_EARLIEST_MS = 1_735_689_600_000  # 2025-01-01; a clock before it was never set
_STEP_S = 1.0


def steady(wall_ms: int, started_s: float) -> str:
    """The wall clock is set, and did not step while the other checks ran."""
    now = now_ms()
    stepped_s = (now - wall_ms) / 1000 - (monotonic_s() - started_s)
    if now < _EARLIEST_MS or abs(stepped_s) > _STEP_S:
        raise NotReady(
            f"found {human_time(now)}, stepped by {stepped_s:.1f} s during the checks; "
            f"expected a set and steady clock",
            hint="start a time service: timedatectl set-ntp true",
        )
    return human_time(now)
