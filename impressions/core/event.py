"""The one rule of validity: which impressions count, and with which event time.

Used by the import, the lander and the stream. An impression comes in as columns; out come a reason
for each that must not count (0 = it counts) and the event time it counts with:

    missing_*          a profile, title or time is absent, or a log id where logs are identified
    bad_*_time         there, but no time that can be read; bad_log_id likewise
    bad_*              an id or location outside its range (see impressions/core/item.py), or
                       unreadable
    bad_dwell          dwell negative, NaN, or above a day: a broken device, or a wrong unit
    out_of_window      older at ingest than window - tail = 337 days: it could leave the window
                       while the stream still holds it
    future             of files: ingested more than a slot after now, so a wrong unit or clock
    clamped            event time more than 5 min after ingest: a wrong device clock; it counts
                       with its ingest time. Up to 5 min ahead is kept as it is.

Checks run in the order of `ORDER`; the first that fails names the reason. Rejected impressions go
with it to a dead-letter table or topic, so that read = applied + duplicate + rejected balances.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.item import MAX_LOCATION, MAX_PROFILE, MAX_TITLE
from impressions.core.spec import Spec

MAX_LOG_IMPRESSIONS = 10_000
"""Of one log on the wire: what a device shows in hours."""

MAX_PROFILE_IMPRESSIONS = 50_000
"""Of one profile in one record: what it adds to the stream's block must fit one message."""

MAX_DWELL_S = 86_400.0
"""A day: nobody looks at one image for longer. It also bounds how many digits a sum of dwell can
lose when a large term is taken out of it again (batch/compacting/incremental)."""


class Reason(IntEnum):
    """Why an impression was rejected; the names are written to tables, topics and metrics."""

    OK = 0
    MISSING_PROFILE = 1
    MISSING_TITLE = 2
    MISSING_EVENT_TIME = 3
    MISSING_INGEST_TIME = 4
    MISSING_LOG_ID = 5
    BAD_PROFILE = 6
    BAD_TITLE = 7
    BAD_LOCATION = 8
    BAD_DWELL = 9
    OUT_OF_WINDOW = 10
    # Of a whole message, decided before its impressions can be looked at (stream and lander).
    UNDECODABLE = 11
    WRONG_PARTITION = 12
    TOO_LARGE = 13
    # Of a file: a value is there, but is no time or id; and an ingest time that is yet to come.
    BAD_EVENT_TIME = 14
    BAD_INGEST_TIME = 15
    BAD_LOG_ID = 16
    FUTURE = 17

    @property
    def label(self) -> str:
        return self.name.lower()


ORDER = (
    Reason.UNDECODABLE,
    Reason.MISSING_PROFILE,
    Reason.MISSING_TITLE,
    Reason.MISSING_EVENT_TIME,
    Reason.BAD_EVENT_TIME,
    Reason.MISSING_INGEST_TIME,
    Reason.BAD_INGEST_TIME,
    Reason.MISSING_LOG_ID,
    Reason.BAD_LOG_ID,
    Reason.BAD_PROFILE,
    Reason.BAD_TITLE,
    Reason.BAD_LOCATION,
    Reason.BAD_DWELL,
    Reason.OUT_OF_WINDOW,
    Reason.FUTURE,
)
"""What is asked first of an impression; the numbers of `Reason` are names only. (WRONG_PARTITION
and TOO_LARGE are of a whole log, before its impressions are looked at.)"""


def check(
    profile_id: Int,
    title_id: Int,
    location: Int,
    event_ms: Int,
    ingest_ms: Int,
    dwell_s: Float,
    spec: Spec,
) -> tuple[NDArray[np.uint8], Int]:
    """Judge n impressions whose ids and times are all present.

    Returns:
        (n,) uint8 of `Reason` and (n,) int64 of the event time to count with (clamped where
        needed; meaningless where the reason is not OK).
    """
    # Compared, not subtracted: a poison time may lie anywhere in 64 bits.
    failures = (
        (Reason.BAD_PROFILE, (profile_id < 0) | (profile_id > MAX_PROFILE)),
        (Reason.BAD_TITLE, (title_id < 0) | (title_id > MAX_TITLE)),
        (Reason.BAD_LOCATION, (location < 0) | (location > MAX_LOCATION)),
        (Reason.BAD_DWELL, ~((dwell_s >= 0) & (dwell_s <= MAX_DWELL_S))),
        (Reason.OUT_OF_WINDOW, event_ms < ingest_ms - spec.max_late_ms),
    )
    counted_ms = np.where(event_ms > ingest_ms + spec.max_ahead_ms, ingest_ms, event_ms)
    return first_of(failures, len(title_id)), counted_ms


def first_of(failures: Sequence[tuple[Reason, NDArray[np.bool_]]], n: int) -> NDArray[np.uint8]:
    """(n,) uint8 of `Reason`: of each the first that failed; OK where none did."""
    reasons = np.zeros(n, np.uint8)
    for reason, failed in reversed(failures):
        if failed.any():
            reasons[failed] = reason
    return reasons
