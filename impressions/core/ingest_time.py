"""Ingest time: the broker's stamps along a partition, made monotone, and never by one stamp alone.

In: the stamps of records that follow each other, what is carried from those before, and, where it
is asked for, the time that each record's devices tell. Out: the ingest time of each record, and
what is carried on. Every value is one of the log itself, so every reader of the log, in batches of
any size, finds the same: the lander and the worker own each event alike.

    usual      a stamp not further than `AHEAD_MS` beyond the newest ingest time: the running
               maximum. A clock that steps back, by however much, moves nothing
    far        a stamp beyond that is a long silence, or a broker's clock that is ahead. The
               devices' clocks decide: the median of a record's event times is not the broker's

        vouched      within `AHEAD_MS` of what its devices say: it counts with its own stamp, and
                     the maximum follows at the second one in a row, not before: a device's clock
                     may be wrong as well
        alone        it counts with the time of its devices, or with the newest ingest time where
                     that is later or theirs makes no sense; the maximum stays where it is

    first      before the second record nothing is known: two stamps that agree begin

So no stamp owns the records behind it, however far ahead: they are neither moved to slots that are
years away nor rejected as too old. Up to `AHEAD_MS` a stamp is believed alone; so much ahead moves
events to slots that the stream still holds when a generation has them (docs/decisions/0029).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from impressions.core.decay import Int
from impressions.core.spec import DAY_MS

AHEAD_MS = 7 * DAY_MS
"""A partition may be silent for so long without a question; less than any `stream.keep_days` that
keeps two weekly generations."""

UNKNOWN_MS = int(np.iinfo(np.int64).min)
"""The devices of a record tell no time."""


@dataclass(frozen=True)
class Carried:
    """What the records so far leave to those that follow.

    Attributes:
        newest_ms: the running maximum; 0 before it has begun.
        suspect_ms: a stamp far ahead of it that one record vouches for; 0: none.
    """

    newest_ms: int = 0
    suspect_ms: int = 0


def ingest_times(stamps: Int, carried: Carried, devices: Callable[[], Int]) -> tuple[Int, Carried]:
    """The ingest times of r records, epoch milliseconds.

    Args:
        stamps: (r,) int64, the broker's, in order of offset.
        devices: (r,) int64 of what each record's devices say, or `UNKNOWN_MS`; asked where a stamp
            is far ahead, which is next to never.
    """
    if carried.newest_ms and not carried.suspect_ms and len(stamps):
        running = np.maximum.accumulate(np.maximum(stamps, carried.newest_ms))
        before = np.append(carried.newest_ms, running[:-1])
        if (stamps - AHEAD_MS <= before).all():
            return running, Carried(int(running[-1]))
    return _one_by_one(stamps, carried, devices)


def _one_by_one(stamps: Int, carried: Carried, devices: Callable[[], Int]) -> tuple[Int, Carried]:
    of_devices: Int | None = None
    out = np.empty(len(stamps), np.int64)
    for i, stamp_ms in enumerate(stamps.tolist()):
        device_ms = stamp_ms
        if carried.newest_ms and stamp_ms - AHEAD_MS > carried.newest_ms:
            of_devices = devices() if of_devices is None else of_devices
            device_ms = int(of_devices[i])
        out[i], carried = following(stamp_ms, device_ms, carried)
    return out, carried


def following(stamp_ms: int, device_ms: int, before: Carried) -> tuple[int, Carried]:
    """(ingest time, what is carried on) of one record."""
    newest_ms, suspect_ms = before.newest_ms, before.suspect_ms
    if newest_ms and stamp_ms - AHEAD_MS <= newest_ms:
        newest_ms = max(newest_ms, stamp_ms)
        return newest_ms, Carried(newest_ms)
    if newest_ms and abs(stamp_ms - device_ms) > AHEAD_MS:
        believed_ms = device_ms if device_ms < stamp_ms else newest_ms
        return max(newest_ms, believed_ms), Carried(newest_ms)
    if suspect_ms and abs(stamp_ms - suspect_ms) <= AHEAD_MS:
        newest_ms = max(stamp_ms, suspect_ms)
        return newest_ms, Carried(newest_ms)
    return stamp_ms, Carried(newest_ms, stamp_ms)
