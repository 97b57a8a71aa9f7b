"""The bytes of many records to columns, compiled: what impressions/formats/device_flushes.py say.

In: the values of records, one after the other. Two passes:

    scan    walks every record; notes where the columns of each log lie that has impressions and
            the usual form, and where each other log lies. Nothing is copied
    fill    copies the columns, whose lengths are known now

The usual form is what every protobuf library writes: fields with tags of one byte, columns packed
and in one piece, bools of one byte, texts of ASCII. A log in any other form, or wrong, is `ODD`:
the caller has it rewritten by the public class, or refused.

Bytes are looked up by unsigned numbers; little_endian.py says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.little_endian import load
from impressions.compiled.table import BYTES, compiled
from impressions.core.event import Reason
from impressions.formats import flush_framing

RECORD, INDEX, COUNT, HAS_PROFILE, TYPE, TYPE_END, VERSION, VERSION_END = range(8)
"""In a row of `places`; behind them, from COLUMNS on, where each of the seven columns begins."""
COLUMNS = 8
TITLES, LOCATIONS, ROWS, POSITIONS, TIMES, PLAYED, DWELL = range(COLUMNS, COLUMNS + 7)
PLACES = COLUMNS + 7

ODD = -1
_BAD = -1
_OK, _UNDECODABLE, _TOO_LARGE = (
    int(reason) for reason in (Reason.OK, Reason.UNDECODABLE, Reason.TOO_LARGE)
)
_LOG_TAG, _MAX_GROUPS = flush_framing.LOG_TAG, flush_framing.MAX_GROUPS
_MAX_LOGS = flush_framing.MAX_RECORD_LOGS
_MAX_TAG = 0xFFFFFFFF
_FIRST, _LAST = 4, 10
"""Numbers of the columns' fields."""

_SHIFTS = sum(shift << 4 * field for field, shift in enumerate((0, 0, 0, 0, 3, 2, 2, 2, 3, 0, 3)))
"""Of each field, in four bits: its values are of 1 << shift bytes."""

_INTS, _PLACES, _IDS = types.int64[::1], types.int32[:, ::1], types.int64[:, ::1]
_tuple: Any = types.Tuple
_SCAN = _tuple((types.int64, types.int64))(BYTES, _INTS, types.uint8[::1], _PLACES, _IDS, _PLACES)
_SCAN_AGAIN = types.void(BYTES, _INTS, _PLACES, _PLACES, _IDS)
_FILL = types.void(
    BYTES, _PLACES, *[_INTS] * 5, types.boolean[::1], types.float64[::1]
)  # fmt: skip


@compiled
def _varint(data, at, end, at_most):  # type: ignore[no-untyped-def]
    """A number of at most so many bytes, and where it ends; _BAD: it is none."""
    number, shift = np.uint64(0), np.uint64(0)
    for i in range(at, min(at + at_most, end)):
        byte = data[np.uint64(i)]
        number |= np.uint64(byte & 0x7F) << shift
        if byte < 0x80:
            return np.int64(number), i + 1
        shift += np.uint64(7)
    return np.int64(0), _BAD


@compiled
def _length(data, at, end):  # type: ignore[no-untyped-def]
    """A length, and where what is so long begins; _BAD: there is less."""
    if at < end and data[np.uint64(at)] < 0x80:
        length, at = np.int64(data[np.uint64(at)]), at + 1
    else:
        length, at = _varint(data, at, end, 5)
    return length, at if length <= end - at else _BAD


@compiled
def _behind_one(data, at, end, kind):  # type: ignore[no-untyped-def]
    if kind == 0:
        return _varint(data, at, end, 10)[1]
    if kind == 2:
        length, at = _length(data, at, end)
        return at + length if at != _BAD else _BAD
    if kind not in (1, 5):
        return _BAD
    at += 8 if kind == 1 else 4
    return at if at <= end else _BAD


@compiled
def _behind_group(data, at, end, number):  # type: ignore[no-untyped-def]
    """Where a group ends, with all that is in it."""
    numbers, depth = np.empty(_MAX_GROUPS, np.int64), 1
    numbers[0] = number
    while depth:
        tag, at = _varint(data, at, end, 5)
        if at == _BAD or tag > _MAX_TAG:
            return _BAD
        kind, number = tag & 7, tag >> 3
        if kind == 3:
            if depth == _MAX_GROUPS:
                return _BAD
            numbers[depth] = number
            depth += 1
        elif kind == 4:
            depth -= 1
            if numbers[depth] != number:
                return _BAD
        else:
            at = _behind_one(data, at, end, kind)
            if at == _BAD:
                return _BAD
    return at


@compiled
def _next_log(data, at, end):  # type: ignore[no-untyped-def]
    """[start, stop) of the next log. A stop of 0: there is none; a start of _BAD: no record."""
    while at < end:
        if data[np.uint64(at)] == _LOG_TAG:
            tag, start = np.int64(_LOG_TAG), at + 1
        else:
            tag, start = _varint(data, at, end, 5)
            if start == _BAD or tag > _MAX_TAG or tag >> 3 == 0:
                return _BAD, 0
        if tag == _LOG_TAG:
            length, start = _length(data, start, end)
            return start, start + length if start != _BAD else 0
        if tag & 7 == 3:
            at = _behind_group(data, start, end, tag >> 3)
        else:
            at = _behind_one(data, start, end, tag & 7)
        if at == _BAD:
            return _BAD, 0
    return end, 0


@compiled
def _is_device(data, at, end, is_utf8, places, row):  # type: ignore[no-untyped-def]
    """Note the texts of a device; False if it has another form."""
    while at < end:
        tag = data[np.uint64(at)]
        if tag != 0x0A and tag != 0x12:
            return False
        length, at = _length(data, at + 1, end)
        if at == _BAD:
            return False
        if not is_utf8:
            for i in range(at, at + length):
                if data[np.uint64(i)] > 0x7F:
                    return False
        first = TYPE if tag == 0x0A else VERSION
        places[row, first], places[row, first + 1] = at, at + length
        at += length
    return True


@compiled
def _are_bools(data, at, end):  # type: ignore[no-untyped-def]
    """Whether each is of one byte, as it is written."""
    longest = 0
    for i in range(at, end):
        longest |= data[np.uint64(i)]
    return longest <= 1


@compiled
def _impressions_of(counts):  # type: ignore[no-untyped-def]
    """How many all columns have; ODD if they differ. Rows and positions may be left out."""
    n = counts[0]
    for c in range(len(counts)):
        if counts[c] != n and not (counts[c] == 0 and (c == 2 or c == 3)):
            return ODD
    return n


@compiled
def _log(data, at, end, is_utf8, places, ids, row, counts):  # type: ignore[no-untyped-def]
    """Note where all of a log lies; returns its impressions, or ODD. `counts`: room for seven."""
    for c in range(PLACES):
        places[row, c] = 0
    places[row, COUNT] = ODD
    log_id, profile_id, seen = np.int64(0), np.int64(0), 0
    counts[:] = 0
    while at < end:
        tag = data[np.uint64(at)]
        at += 1
        if tag == 0x09:
            if at + 8 > end:
                return ODD
            log_id = load(data, at, 8)
            at += 8
            continue
        if tag == 0x10:
            profile_id, at = _varint(data, at, end, 10)
            if at == _BAD:
                return ODD
            places[row, HAS_PROFILE] = 1
            continue
        field = int(tag >> 3)
        if tag & 7 != 2 or field < 3 or field > _LAST:
            return ODD
        length, at = _length(data, at, end)
        if at == _BAD:
            return ODD
        if field == 3:
            if not _is_device(data, at, at + length, is_utf8, places, row):
                return ODD
        else:
            shift = _SHIFTS >> 4 * field & 3
            if seen >> field & 1 or length & ((1 << shift) - 1):
                return ODD
            if field == 9 and not _are_bools(data, at, at + length):
                return ODD
            seen |= 1 << field
            counts[field - _FIRST] = length >> shift
            if length:
                places[row, COLUMNS + field - _FIRST] = at
        at += length
    n = _impressions_of(counts)
    places[row, COUNT] = n
    ids[row, 0], ids[row, 1] = log_id, profile_id
    return n


@compiled
def _note(odd, i, record, index, start, stop):  # type: ignore[no-untyped-def]
    odd[i, 0], odd[i, 1], odd[i, 2], odd[i, 3] = record, index, start, stop


@kept(_SCAN)
def scan(data, ends, reasons, places, ids, odd):  # type: ignore[no-untyped-def]
    """Where everything lies.

    Args:
        data: byte 0 is nobody's, so that a place of 0 means: not given; then the r values.
        ends: (r,) int64 where each value ends.
        reasons: (r,) uint8 of `Reason`; OK becomes UNDECODABLE or TOO_LARGE; records that came
            with another one are left out.
        places, ids: (m + 1, PLACES) int32 and (m + 1, 2) int64, log and profile: a row is filled
            for each log with impressions in the usual form; the last one is for any that are more.
        odd: (k, 4) int32: record, index, start, end of each other log; those beyond k are counted.

    Returns:
        How many logs of the usual form there are, and how many odd ones; with more than m or k,
        ask again.
    """
    logs, odds = 0, 0
    counts = np.empty(7, np.int64)
    for r in range(len(ends)):
        before, index = (logs, odds), 0
        stop = ends[r - 1] if r else 1
        while reasons[r] == _OK:
            start, stop = _next_log(data, stop, ends[r])
            if start == _BAD:
                reasons[r] = _UNDECODABLE
            elif stop and index == _MAX_LOGS:
                reasons[r] = _TOO_LARGE
            if not stop or reasons[r] != _OK:
                break
            row = min(logs, len(places) - 1)
            n = _log(data, start, stop, False, places, ids, row, counts)
            if n == ODD:
                if odds < len(odd):
                    _note(odd, odds, r, index, start, stop)
                odds += 1
            elif n:
                places[row, RECORD], places[row, INDEX] = r, index
                logs += 1
            index += 1
        if reasons[r] != _OK:
            logs, odds = before
    return logs, odds


@kept(_SCAN_AGAIN)
def scan_again(data, ends, odd, places, ids):  # type: ignore[no-untyped-def]
    """The same of k logs that were rewritten, from `ends[i]` to `ends[i + 1]`.

    Args:
        odd: (k, 4) what `scan` said of them.
        places, ids: (k, PLACES) and (k, 2), all filled; COUNT is ODD where a log cannot be read.
    """
    counts = np.empty(7, np.int64)
    for i in range(len(odd)):
        _log(data, ends[i], ends[i + 1], True, places, ids, i, counts)
        places[i, RECORD], places[i, INDEX] = odd[i, 0], odd[i, 1]


@compiled
def _fill_uint32(data, start, n, out, to):  # type: ignore[no-untyped-def]
    """A column of uint32; one that is not given is -1."""
    for k in range(n):
        out[to + k] = load(data, start + 4 * k, 4) if start else -1


@kept(_FILL)
def fill(  # type: ignore[no-untyped-def]
    data, places, title_id, location, row, position, event_ms, played, dwell_s
):
    """Copy the columns of all logs, one after the other."""
    dwell_bits, to = dwell_s.view(np.int64), 0
    for i in range(len(places)):
        n, played_at = places[i, COUNT], places[i, PLAYED]
        titles, times, dwells = places[i, TITLES], places[i, TIMES], places[i, DWELL]
        for k in range(n):
            title_id[to + k] = load(data, titles + 8 * k, 8)
            event_ms[to + k] = load(data, times + 8 * k, 8)
            dwell_bits[to + k] = load(data, dwells + 8 * k, 8)
            played[to + k] = data[np.uint64(played_at + k)] != 0
        _fill_uint32(data, places[i, LOCATIONS], n, location, to)
        _fill_uint32(data, places[i, ROWS], n, row, to)
        _fill_uint32(data, places[i, POSITIONS], n, position, to)
        to += n
