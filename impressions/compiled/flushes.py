"""The columns of records, compiled where possible: the same as
impressions/formats/device_flushes.py, sooner.

In: the values of consecutive records. Out: `Columns`. Memory follows from the bytes, not from what
stands in them: a row of 60 bytes, and 16 for ids, for each log with impressions, which has 36 at
least; then the columns, at 57 bytes an impression, which has 29 at least. A log that is not of the
usual form is looked at alone.

Where numba is absent, or cannot compile here, records are read the plain way: some ten times
slower, and the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from impressions.compiled.loading import loaded
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.formats.device_flushes import (
    Columns,
    Texts,
    Unreadable,
    are_no_logs,
    read_plain,
    rewritten,
)
from impressions.formats.flush_framing import MAX_VALUE_BYTES, is_too_large

Read = Callable[[Sequence[bytes | None]], Columns]
Places = NDArray[np.int32]

_MAX_BYTES = 1 << 30
"""In a call: places are int32, and logs that are rewritten stand behind the values."""
_FIRST_ODD, _ODD_AT_ONCE = 64, 4_096


@functools.cache
def reader() -> Read:
    """The fastest way there is here; compiles if this machine never did."""
    found = loaded("reading", {"flush_kernels": "fill"})
    return functools.partial(read, *found) if found else read_plain


def read(kernels: Any, values: Sequence[bytes | None]) -> Columns:
    """See `read_plain`.

    Raises:
        ValueError: values of 1 GiB together.
    """
    usable, reasons = _usable(values)
    ends = 1 + np.cumsum(np.fromiter(map(len, usable), np.int64, len(usable)))
    if len(ends) and ends[-1] >= _MAX_BYTES:
        raise ValueError(f"{ends[-1]} bytes of records in one call, expected less than 1 GiB")
    data = b"".join([b"\0", *usable])
    places, ids, odd = _scanned(kernels, data, ends, reasons)
    bad = odd[:0]
    if len(odd):
        data, places, ids, bad = _with_odd(kernels, data, places, ids, odd)
        no_logs = _without_logs(bad, usable)
        reasons[no_logs] = Reason.UNDECODABLE
        chosen = ~np.isin(places[:, kernels.RECORD], no_logs)
        places, ids = places[chosen], ids[chosen]
        bad = bad[~np.isin(bad[:, 0], no_logs)]
    return _filled(kernels, data, places, ids, _unreadable(reasons, bad))


def _without_logs(bad: Places, values: Sequence[bytes]) -> list[int]:
    """The records that hold more unreadable logs than they can."""
    found = zip(*np.unique(bad[:, 0], return_counts=True), strict=True)
    return [int(r) for r, n in found if are_no_logs(int(n), len(values[r]))]


def _unreadable(reasons: NDArray[np.uint8], bad: Places) -> list[Unreadable]:
    """Records with a reason, and logs, in order."""
    records = [Unreadable(int(i), None, Reason(int(reasons[i]))) for i in np.flatnonzero(reasons)]
    logs = [Unreadable(record, index) for record, index, _, _ in bad.tolist()]
    return sorted(records + logs, key=lambda u: (u.record, u.log_index or 0)) if logs else records


def _usable(values: Sequence[bytes | None]) -> tuple[list[bytes], NDArray[np.uint8]]:
    """The values that are looked into, the others empty; (r,) the `Reason` of those."""
    reasons = np.zeros(len(values), np.uint8)
    if set(map(type, values)) <= {bytes}:
        usable = cast(list[bytes], list(values))
        if max(map(len, usable), default=0) <= MAX_VALUE_BYTES:
            return usable, reasons
    usable = []
    for i, value in enumerate(values):
        if value is None:
            reasons[i] = Reason.UNDECODABLE
        elif is_too_large(value):
            reasons[i] = Reason.TOO_LARGE
        usable.append(b"" if value is None or reasons[i] else value)
    return usable, reasons


def _scanned(
    kernels: Any, data: bytes, ends: Int, reasons: NDArray[np.uint8]
) -> tuple[Places, Int, Places]:
    """Places and ids of the usual logs; (k, 4) of the odd ones."""
    bytes_, logs, odds = np.frombuffer(data, np.uint8), len(ends), _FIRST_ODD
    while True:
        places = np.empty((logs + 1, kernels.PLACES), np.int32)
        ids, odd = np.empty((logs + 1, 2), np.int64), np.empty((odds, 4), np.int32)
        logs, odds = kernels.scan(bytes_, ends, reasons, places, ids, odd)
        if logs < len(places) and odds <= len(odd):
            return places[:logs], ids[:logs], odd[:odds]


def _with_odd(
    kernels: Any, data: bytes, places: Places, ids: Int, odd: Places
) -> tuple[bytes, Places, Int, Places]:
    """All places, in order, with those of the odd logs in the usual form, which stands behind the
    bytes; and those of `odd` that cannot be read."""
    pieces, all_places, all_ids, bad = [data], [places], [ids], []
    at = len(data)
    for k in range(0, len(odd), _ODD_AT_ONCE):
        some = odd[k : k + _ODD_AT_ONCE]
        usual = [rewritten(data[start:end]) for _, _, start, end in some.tolist()]
        found, found_ids, piece = _scanned_again(kernels, some, usual)
        begins = found[:, kernels.TYPE :]
        begins[begins > 0] += at
        count = found[:, kernels.COUNT]
        bad.append(some[count == kernels.ODD])
        all_places.append(found[count > 0])
        all_ids.append(found_ids[count > 0])
        if (count > 0).any():
            pieces.append(piece)
            at += len(piece)
    places, ids = np.concatenate(all_places), np.concatenate(all_ids)
    order = np.lexsort((places[:, kernels.INDEX], places[:, kernels.RECORD]))
    return b"".join(pieces), places[order], ids[order], np.concatenate(bad)


def _scanned_again(
    kernels: Any, odd: Places, usual: Sequence[bytes | None]
) -> tuple[Places, Int, bytes]:
    """Places and ids of rewritten logs, of all of them; and the bytes they lie in."""
    parts = [b"\0", *(log or b"" for log in usual)]
    piece, ends = b"".join(parts), np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    places = np.empty((len(odd), kernels.PLACES), np.int32)
    ids = np.empty((len(odd), 2), np.int64)
    kernels.scan_again(np.frombuffer(piece, np.uint8), ends, odd, places, ids)
    places[[log is None for log in usual], kernels.COUNT] = kernels.ODD
    return places, ids, piece


def _filled(
    kernels: Any, data: bytes, places: Places, ids: Int, unreadable: list[Unreadable]
) -> Columns:
    count = places[:, kernels.COUNT].astype(np.int64)
    n = int(count.sum())
    title_id, location, row, position, event_ms = (np.empty(n, np.int64) for _ in range(5))
    played, dwell_s = np.empty(n, np.bool_), np.empty(n, np.float64)
    kernels.fill(
        np.frombuffer(data, np.uint8), places,
        title_id, location, row, position, event_ms, played, dwell_s,
    )  # fmt: skip
    texts = places[:, kernels.TYPE : kernels.VERSION_END + 1].copy()
    return Columns(
        record=places[:, kernels.RECORD].astype(np.int64),
        log_index=places[:, kernels.INDEX].astype(np.int64),
        log_id=ids[:, 0].copy(),
        profile_id=ids[:, 1].copy(),
        has_profile=places[:, kernels.HAS_PROFILE].astype(np.bool_),
        count=count,
        texts=functools.partial(_texts, data, texts),
        title_id=title_id,
        location=location,
        row=row,
        position=position,
        event_ms=event_ms,
        played=played,
        dwell_s=dwell_s,
        unreadable=unreadable,
    )


def _texts(data: bytes, places: Places) -> Texts:
    known: dict[bytes, str] = {}

    def text(start: int, end: int) -> str:
        found = data[start:end]
        if found not in known:
            known[found] = found.decode()
        return known[found]

    rows = places.tolist()
    return [text(a, b) for a, b, _, _ in rows], [text(a, b) for _, _, a, b in rows]
