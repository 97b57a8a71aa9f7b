"""Which rows belong to a device flush that was sent before.

A device that retries sends all of a flush again, so a row is a duplicate when its flush occurred
before, in the same ingest slot or in the one before (distance 0 or 1, accepted or dropped):

    occurrence   a (profile, log_id) with the same ingest time, offset and index in its record
    duplicate    another occurrence of that (profile, log_id) comes earlier, in a slot whose number
                 is at least this one's minus 1

Occurrences are ordered by slot, ingest time, offset and index. Of those in order, only the one just
before needs a look: it has the largest slot of all that are earlier. A row without a log_id is
never a duplicate.

Rows become occurrences by one sort of a 64-bit mix of the five numbers; equal mixes are compared
number by number, so a collision costs time and never an answer. Few flushes are ever sent twice, so
only (profile, log_id) pairs that occur more than once are put in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int

_GOLDEN, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class Flushes:
    """(n,) each: the flush that a row belongs to, and where it occurred."""

    profile_id: Int
    log_id: Int
    slot_number: Int
    ingest_us: Int
    log_offset: Int
    log_index: Int

    def take(self, which: Int) -> Flushes:
        return Flushes(*(column[which] for column in self.columns))

    @property
    def columns(self) -> tuple[Int, ...]:
        return (
            self.profile_id, self.log_id, self.slot_number, self.ingest_us, self.log_offset,
            self.log_index,
        )  # fmt: skip


@dataclass(frozen=True)
class Earlier:
    """(m,) each: flushes of the partitions before, in any order."""

    profile_id: Int
    log_id: Int
    slot_number: Int


def repeated(rows: Flushes, earlier: Earlier) -> NDArray[np.bool_]:
    """(n,) whether the flush of a row, all of which have one, occurred before."""
    first, occurrence = _occurrences(rows)
    return _occurred_before(rows.take(first), earlier)[occurrence]


def groups_of(columns: Sequence[Int]) -> tuple[Int, Int]:
    """Equal rows of several columns together.

    Returns:
        (g,) a row of each group, and (n,) the group of each row, numbered from 0.
    """
    mixed = mix(columns)
    order = np.argsort(mixed, kind="stable")
    starts = _starts(mixed[order])
    group = np.cumsum(starts) - 1
    first = order[starts]
    of_row = np.empty(len(order), np.int64)
    of_row[order] = group
    if all(np.array_equal(column, column[first][of_row]) for column in columns):
        return first, of_row
    return _groups_by_order(columns)


def mix(columns: Sequence[Int]) -> NDArray[np.uint64]:
    """(n,) a 64-bit mix of several numbers (steps of splitmix64)."""
    mixed = np.full(len(columns[0]), _GOLDEN)
    for column in columns:
        mixed ^= column.astype(np.int64, copy=False).view(np.uint64)
        mixed *= _MIX
        mixed ^= mixed >> np.uint64(29)
        mixed += _GOLDEN
    return mixed


def _occurrences(rows: Flushes) -> tuple[Int, Int]:
    profile, log_id, _, ingest, offset, index = rows.columns
    return groups_of((offset, index, log_id, profile, ingest))


def _occurred_before(occurring: Flushes, earlier: Earlier) -> NDArray[np.bool_]:
    """(m,) of occurrences."""
    own = len(occurring.profile_id)
    none = np.zeros(len(earlier.profile_id), np.int64)
    # In the same slot what lies in a partition before comes first: its other numbers are 0.
    all_of = [
        np.concatenate(pair)
        for pair in zip(
            occurring.columns,
            (earlier.profile_id, earlier.log_id, earlier.slot_number, none, none, none),
            strict=True,
        )
    ]
    place = np.concatenate((np.ones(own, np.int64), none))
    profile, log_id, slot, ingest, offset, index = all_of
    key = mix((profile, log_id))
    order = np.argsort(key, kind="stable")
    starts = _starts(key[order])
    sizes = np.diff(np.append(np.flatnonzero(starts), len(order)))
    several = order[np.repeat(sizes > 1, sizes)]
    result = np.zeros(len(key), np.bool_)
    keys = (index, offset, ingest, place, slot, log_id, profile)
    several = several[np.lexsort([column[several] for column in keys])]
    now, before = several[1:], several[:-1]
    same = (profile[now] == profile[before]) & (log_id[now] == log_id[before])
    result[now[same & (slot[before] >= slot[now] - 1)]] = True
    return result[:own]


def _starts(in_order: NDArray[np.uint64]) -> NDArray[np.bool_]:
    starts = np.ones(len(in_order), np.bool_)
    starts[1:] = in_order[1:] != in_order[:-1]
    return starts


def _groups_by_order(columns: Sequence[Int]) -> tuple[Int, Int]:
    """The same by comparing numbers, for when two mixes are equal by chance."""
    order = np.lexsort(tuple(columns))
    starts = np.zeros(len(order), np.bool_)
    starts[:1] = True
    for column in columns:
        starts[1:] |= column[order][1:] != column[order][:-1]
    of_row = np.empty(len(order), np.int64)
    of_row[order] = np.cumsum(starts) - 1
    return order[starts], of_row
