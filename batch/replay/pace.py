"""When each log of a replay is due, in seconds after its start.

rate          so many impressions per second, whatever their times
replay speed  as far apart as they arrived, divided by the speed
neither       at once
"""

from __future__ import annotations

import numpy as np

from batch.replay.flushes import Logs
from impressions.core.decay import Float
from impressions.core.errors import UsageError


def due_s(logs: Logs, rate: float | None, replay_speed: float | None) -> Float:
    """(logs,) ascending. UsageError where both are given."""
    if rate and replay_speed:
        raise UsageError(
            f"found --rate {rate:g} and --replay-speed {replay_speed:g}, expected one of the two"
        )
    due = np.zeros(len(logs))
    if rate:
        due += logs.starts[:-1] / rate
    elif replay_speed and len(logs):
        due += (logs.ingest_ms - logs.ingest_ms[0]) / 1000 / replay_speed
    return due
