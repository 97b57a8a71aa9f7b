"""The profile block: what a generation stores for one profile, as one value of an SST file.

    block   := version:u8=2 kind:u8='P' M:u8 H:u8 spec:u32 reference_ms:i64 newest_ms:i64
               n:u32 k:u32 rows tail
    rows    := table{n}              items not in the tail, ascending
            (impressions/formats/columns.py)
    tail    := table{k} age:u8{k}    one row per (item, tail day): age = day - first tail day,
                                     ascending by (age, item)
    spec    := the first 32 bits of the spec's fingerprint

Little-endian. Sums are float32 relative to `reference_ms`, which is the generation's cutover.

A year is many half-lives of the shortest kind: 2^-365 is no float32. Sums of half-lives that run
below float32 within the window (`rooted`) are therefore stored as their fourth root, 2^-91, and
read as x * x * x * x in float64: no byte more, and four times float32's rounding error, 2.4e-7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from impressions.core import window
from impressions.core.decay import Int
from impressions.core.errors import CorruptData, FormatVersionError
from impressions.core.rows import ALL, Index, Rows
from impressions.core.spec import Spec
from impressions.formats import columns
from impressions.formats.columns import F32, StoredTable

VERSION = 2
_KIND = ord("P")
_HEADER = struct.Struct("<BBBBIqqII")
HEADER_BYTES = _HEADER.size
_FLOAT32_HALVINGS = 126
STORED_ERROR = 2.4e-7
"""Relative: the most by which a sum that is read differs from the one that was encoded."""
_EXPORT = "impressions export --generation <generation> --force, with this version and spec"


@dataclass(frozen=True)
class ProfileBlock:
    """A decoded block; rows are converted when taken.

    Attributes:
        reference_ms: the cutover that the sums are relative to.
    """

    reference_ms: int
    _rows: StoredTable
    _tail: StoredTable
    _tail_ages: Int
    _spec: Spec

    def items(self) -> Int:
        """(n,) int64 keys of the rows outside the tail, ascending."""
        return self._rows.items()

    def rows(self, index: Index = ALL) -> Rows:
        """Rows outside the tail, relative to `reference_ms`."""
        return _from_stored(self._rows.take(index), self._spec)

    def tail_from(self, first_day: int) -> Rows:
        """Tail rows of event days >= `first_day`; an item may come once per day, unsorted."""
        oldest = window.first_day(self.reference_ms, self._spec)
        start = int(np.searchsorted(self._tail_ages, first_day - oldest))
        return _from_stored(self._tail.take(slice(start, None)), self._spec)


def encode(reference_ms: int, rows: Rows, tail: Rows, tail_day: Int, spec: Spec) -> bytes:
    """The bytes of one profile.

    Args:
        reference_ms: the cutover.
        rows: items ascending, no event of a tail day in them.
        tail: one row per (day, item), ascending in that order.
        tail_day: (k,) int64 UTC event day of each tail row.
    """
    newest_ms = max(int(rows.last_seen_ms.max(initial=0)), int(tail.last_seen_ms.max(initial=0)))
    ages = tail_day - window.first_day(reference_ms, spec)
    header = _HEADER.pack(
        VERSION, _KIND, len(spec.measures), len(spec.half_lives_days), spec.tag,
        reference_ms, newest_ms, len(rows), len(tail),
    )  # fmt: skip
    tables = (
        columns.encode_table(_to_stored(part, spec), newest_ms, spec, F32) for part in (rows, tail)
    )
    return b"".join((header, *tables, ages.astype(np.uint8).tobytes()))


def decode(data: bytes, spec: Spec) -> ProfileBlock:
    """Views over one block.

    Raises:
        FormatVersionError: another format version.
        CorruptData: another spec, or bytes that are no profile block.
    """
    if len(data) < _HEADER.size:
        raise CorruptData(f"profile block: {len(data)} bytes, expected at least {_HEADER.size}")
    version, kind, measures, half_lives, tag, reference_ms, newest_ms, n, k = _HEADER.unpack_from(
        data
    )
    if kind != _KIND:
        raise CorruptData(f"profile block: kind {kind:02x}, expected {_KIND:02x}")
    if version != VERSION:
        raise FormatVersionError(
            f"profile block: format version {version}, expected {VERSION}", hint=_EXPORT
        )
    if tag != spec.tag or (measures, half_lives) != (len(spec.measures), len(spec.half_lives_days)):
        raise CorruptData(
            f"profile block: spec {tag:08x} of {measures} measures and {half_lives} half-lives, "
            f"expected {spec.tag:08x}",
            hint=_EXPORT,
        )
    if not columns.are_times(reference_ms, newest_ms):
        raise CorruptData(
            f"profile block: cutover {reference_ms} ms, newest {newest_ms} ms: expected times"
        )
    rows = StoredTable(data, _HEADER.size, n, newest_ms, spec, F32)
    tail = StoredTable(data, rows.end, k, newest_ms, spec, F32)
    if tail.end + k != len(data):
        raise CorruptData(f"profile block: {len(data)} bytes, expected {tail.end + k}")
    ages = np.frombuffer(data, np.uint8, k, tail.end).astype(np.int64)
    if not columns.ascend(rows.items()) or (ages[1:] < ages[:-1]).any():
        raise CorruptData("profile block: rows are not in order")
    return ProfileBlock(reference_ms, rows, tail, ages, spec)


def row_count(data: bytes) -> int:
    """How many rows a block says it has, those of the tail included; 0 if it is cut short."""
    return sum(_HEADER.unpack_from(data)[-2:]) if len(data) >= _HEADER.size else 0


def rooted(spec: Spec) -> list[int]:
    """Positions of the half-lives that a window of decay takes below float32's smallest normal."""
    return [
        i for i, h in enumerate(spec.half_lives_days) if spec.window_days / h > _FLOAT32_HALVINGS
    ]


def _to_stored(rows: Rows, spec: Spec) -> Rows:
    sums = rows.sums.copy()
    for i in rooted(spec):
        sums[:, i] = np.sqrt(np.sqrt(sums[:, i]))
    return Rows(rows.items, rows.last_seen_ms, rows.totals, sums)


def _from_stored(rows: Rows, spec: Spec) -> Rows:
    """Undo `_to_stored`, in place: rows just taken are nobody else's."""
    for i in rooted(spec):
        rows.sums[:, i] **= 2
        rows.sums[:, i] **= 2
    return rows
