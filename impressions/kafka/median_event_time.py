"""What time it is by the devices of a record: the median of its event times.

It is a second clock beside the broker's stamp: devices are of many makers, and their errors are
independent. Asked only of records whose stamp is far ahead (impressions/core/ingest_time.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impressions.compiled.flushes import reader
from impressions.core.decay import Int
from impressions.core.ingest_time import UNKNOWN_MS


def median_event_ms(values: Sequence[bytes | None]) -> Int:
    """(r,) int64, the lower median of each record's event times, epoch milliseconds; `UNKNOWN_MS`
    of one that cannot be read or has no impressions."""
    columns = reader()(values)
    record = np.repeat(columns.record, columns.count)
    event_ms = columns.event_ms[np.lexsort((columns.event_ms, record))]
    counts = np.bincount(record, minlength=len(values))
    middle = np.cumsum(counts) - counts + (counts - 1) // 2
    out = np.full(len(values), UNKNOWN_MS, np.int64)
    out[counts > 0] = event_ms[middle[counts > 0]]
    return out
