"""Where the parts of a profile are in its stored bytes; every check of the plain decoders.

    part 0, 1       body and tail of the profile block
    part 2, 3, ...  the delta blocks: rows with their sums (version 2), or impressions (version 3)

Whatever does not fit is answered with `BAD`: the plain decoders then say what is wrong. The order
of items is checked by who walks them (chosen_rows.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from impressions.compiled.table import BAD, compiled, impression_places, places
from impressions.formats import delta_block, profile_block
from impressions.formats.columns import F32, F64
from impressions.formats.delta_block import LOGS_AT, NEWEST_AT, ROWS_AT, SLOT_AT

_P_HEADER, _P_VERSION = profile_block.HEADER_BYTES, profile_block.VERSION
_D_HEADER, _D_VERSION = delta_block.HEADER_BYTES, delta_block.VERSION
_D_SUMMED_VERSION = delta_block.SUMMED_VERSION
_KIND_P, _KIND_D = ord("P"), ord("D")

ROWS, NEWEST, REFERENCE, KIND = 0, 1, 2, 3
"""Columns of `about`: how many rows a part has, its newest event and the time its sums are of."""
STORED, SUMMED, SINGLE = 0, 1, 2
"""Kinds of parts: float32 sums, float64 sums, impressions without sums."""


class Stored(NamedTuple):
    """The bytes of a profile, and what is known of them.

    Attributes:
        block, deltas: of the profile block; of all delta blocks, one after the other.
        edges: (d + 1,) where each delta block begins, and the end.
        where: (parts, 2 + 2 * M, 2) start and code of each column, see table.py.
        about: (parts, 4) int64.
    """

    block: Any
    deltas: Any
    edges: Any
    where: Any
    about: Any


class OfSpec(NamedTuple):
    """What a spec is to compiled code.

    Attributes:
        half_lives_ms: (H,) float64.
        rooted: (H,) bool: stored as fourth roots in a profile block.
        integral: (M,) bool.
        whole: (A,) bool: of the columns of an impression.
        adds: (M,) int64: which of those columns a measure adds; -1: one for each impression.
        limits: (4,) int64: slot length, end of time, how far an event may lie behind its slot; tag.
    """

    half_lives_ms: Any
    rooted: Any
    integral: Any
    whole: Any
    adds: Any
    limits: Any


@compiled
def part_of(stored, p):  # type: ignore[no-untyped-def]
    """The bytes that part p lies in."""
    if p < 2:
        return stored.block
    return stored.deltas[stored.edges[p - 2] : stored.edges[p - 1]]


@compiled
def opened(block, deltas, sizes, measures):  # type: ignore[no-untyped-def]
    """A `Stored` of which nothing is known yet."""
    parts = 2 + len(sizes)
    edges = np.zeros(parts - 1, np.int64)
    edges[1:] = np.cumsum(sizes)
    where = np.zeros((parts, 2 + 2 * measures, 2), np.int64)
    return Stored(block, deltas, edges, where, np.zeros((parts, 4), np.int64))


@compiled
def describe(stored, times, spec):  # type: ignore[no-untyped-def]
    """Fill places and facts of every part; the first tail row that counts, BAD if one is wrong.

    Args:
        times: (4,) int64: query, cutover (or the smallest int64), first tail age still in the
            window, first slot that the stream owns; milliseconds but for the age, in days.
    """
    first_tail_row = 0
    if len(stored.block):
        first_tail_row = _block(stored, times, spec)
        if first_tail_row == BAD:
            return BAD
    for p in range(2, len(stored.about)):
        if not _delta(part_of(stored, p), spec, stored.where[p], stored.about[p]):
            return BAD
        if stored.about[p, REFERENCE] < times[3]:  # the generation holds it
            stored.about[p, ROWS] = 0
    return first_tail_row


@compiled
def _block(stored, times, spec):  # type: ignore[no-untyped-def]
    """Places of body and tail; returns the first tail row inside the window, BAD if it is none."""
    data, where, about = stored.block, stored.where, stored.about
    if len(data) < _P_HEADER or data[0] != _P_VERSION or not _is_ours(data, _KIND_P, spec):
        return BAD
    reference, newest = _int64(data, 8), _int64(data, 16)
    n, k = np.int64(_uint32(data, 24)), np.int64(_uint32(data, 28))
    if reference != times[1] or not _are_times(reference, newest, spec.limits):
        return BAD
    half_lives = len(spec.half_lives_ms)
    middle = places(data, _P_HEADER, n, spec.integral, half_lives, F32, where[0])
    if middle == BAD:
        return BAD
    end = places(data, middle, k, spec.integral, half_lives, F32, where[1])
    if end == BAD or end + k != len(data):
        return BAD
    first = 0
    for i in range(k):
        if i and data[end + i] < data[end + i - 1]:
            return BAD
        if data[end + i] < times[2]:
            first = i + 1
    about[0, ROWS], about[1, ROWS] = n, k
    for p in range(2):
        about[p, NEWEST], about[p, REFERENCE], about[p, KIND] = newest, reference, STORED
    return first


@compiled
def _delta(data, spec, where, about):  # type: ignore[no-untyped-def]
    """Places of a delta block; False if it is none."""
    if len(data) < _D_HEADER or not _is_ours(data, _KIND_D, spec):
        return False
    slot, newest = _int64(data, SLOT_AT), _int64(data, NEWEST_AT)
    n, logs = np.int64(_uint32(data, ROWS_AT)), np.int64(_uint32(data, LOGS_AT))
    if slot % spec.limits[0] or not _are_times(slot, newest, spec.limits):
        return False
    start = _D_HEADER + 8 * logs
    if start > len(data):
        return False
    log_ids = data[_D_HEADER:start].view(np.int64)
    for i in range(1, logs):
        if log_ids[i] <= log_ids[i - 1]:
            return False
    about[ROWS], about[NEWEST], about[REFERENCE] = n, newest, slot
    if data[0] == _D_SUMMED_VERSION:
        about[KIND] = SUMMED
        half_lives = len(spec.half_lives_ms)
        return places(data, start, n, spec.integral, half_lives, F64, where) == len(data)
    about[KIND] = SINGLE
    if data[0] != _D_VERSION or newest > slot + spec.limits[0] + spec.limits[2]:
        return False
    return impression_places(data, start, n, spec.whole, where) == len(data)


@compiled
def _is_ours(data, kind, spec):  # type: ignore[no-untyped-def]
    return (
        data[1] == kind
        and data[2] == len(spec.integral)
        and data[3] == len(spec.half_lives_ms)
        and _uint32(data, 4) == spec.limits[3]
    )


@compiled
def _are_times(first, second, limits):  # type: ignore[no-untyped-def]
    return 0 <= first < limits[1] and 0 <= second < limits[1]


@compiled
def _int64(data, at):  # type: ignore[no-untyped-def]
    return data[at : at + 8].view(np.int64)[0]


@compiled
def _uint32(data, at):  # type: ignore[no-untyped-def]
    return np.int64(data[at : at + 4].view(np.uint32)[0])
