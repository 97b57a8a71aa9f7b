"""The delta block: what the stream holds for one (profile, ingest slot), as one Kafka value.

    key     := profile:u64be slot_start_ms + part:u64be
    block   := version:u8=3 kind:u8='D' M:u8 H:u8 spec:u32 slot_start_ms:i64 newest_ms:i64
               epoch:u32 offset:i64 n:u32 logs:u32 log_id{logs} impressions
             | version:u8=2 and the same, with rows in the place of impressions
    log_id  := u64              log ids seen in this part of the slot, ascending
    impressions{n}              one by one (impressions/formats/impression_columns.py)
    rows    := table{n}         items ascending, sums in f64 relative to the start of the slot
                                (impressions/formats/columns.py)

Little-endian but for the key, whose bytes must sort like numbers. `newest_ms` is the newest event
time, 0 without impressions, and at most `max_ahead_ms` behind the slot's end. A slot that outgrows
one block goes on in the next part, under the next key; parts add. Full state, not a change: writing
it twice is harmless. `epoch` names one incarnation of the source topic and P; `offset` is the last
source offset applied; a copy applies a block only if its (epoch, offset) is not older than its own.

Version 2 held aggregates: a row per item, 100 bytes of it sums. It is read for ever and written no
more: a worker goes on in the next part (speed/applying/slot_parts.py).
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from impressions.core.decay import Int
from impressions.core.errors import CorruptData, FormatVersionError
from impressions.core.impressions import Impressions, no_impressions
from impressions.core.item import profile_key
from impressions.core.rows import ALL, Rows
from impressions.core.spec import Spec
from impressions.formats import columns, impression_columns
from impressions.formats.columns import F64, StoredTable

VERSION, SUMMED_VERSION = 3, 2
_KIND = ord("D")
_COMMON, _OWN = struct.Struct("<BBBBI"), struct.Struct("<qqIqII")
"""The header: what is the same in every block of a spec, and what is not."""
HEADER_BYTES = _COMMON.size + _OWN.size
SLOT_AT, NEWEST_AT, EPOCH_AT, OFFSET_AT, ROWS_AT, LOGS_AT = 8, 16, 24, 28, 36, 40
"""Where the fields of `_OWN` begin in a block, for compiled code."""
_OTHER_TOPIC = (
    "each spec and each format has a delta topic of its own: another kafka.deltas_topic and "
    "speed.group, then impressions topics create"
)


@dataclass(frozen=True)
class DeltaBlock:
    """One profile's impressions of one ingest slot, or of a part of it.

    Attributes:
        slot_start_ms: which slot, and the reference time of `rows`.
        epoch, offset: version of this state; compared as a pair.
        log_ids: (logs,) int64, ascending: the logs this part has seen.
        impressions: items ascending.
        summed: of a block of version 2, what it holds instead of impressions.
    """

    slot_start_ms: int
    epoch: int
    offset: int
    log_ids: Int
    impressions: Impressions
    summed: Rows | None = None

    @property
    def items(self) -> Int:
        """(n,) int64 item keys, ascending; an item as often as it was seen."""
        return (self.impressions if self.summed is None else self.summed).items

    def rows(self, spec: Spec) -> Rows:
        """A row for each of `items`; sums relative to `slot_start_ms`."""
        if self.summed is not None:
            return self.summed
        return self.impressions.rows(self.slot_start_ms, spec)


class Header(NamedTuple):
    """The fields of a block's header: all that a copy needs to know of it."""

    slot_start_ms: int
    newest_ms: int
    epoch: int
    offset: int
    rows: int
    logs: int


def key(profile_id: int, slot_start_ms: int) -> bytes:
    """16 bytes that sort by profile, then slot."""
    return profile_key(profile_id) + slot_start_ms.to_bytes(8, "big")


def encode(block: DeltaBlock, spec: Spec) -> bytes:
    """The bytes of one delta block; never of one that is `summed`."""
    assert block.summed is None, "a block of version 2 never changes"
    impressions = block.impressions
    newest_ms = int(impressions.event_ms.max(initial=0))
    header = common(spec, VERSION) + _OWN.pack(
        block.slot_start_ms, newest_ms, block.epoch, block.offset,
        len(impressions), len(block.log_ids),
    )  # fmt: skip
    log_ids = block.log_ids.astype("<u8").tobytes()
    return header + log_ids + impression_columns.encode(impressions, newest_ms, spec)


def header(data: bytes, spec: Spec) -> Header:
    """The header of a block; nothing behind it is looked at.

    Raises:
        FormatVersionError: another format version.
        CorruptData: another spec, or bytes that are no delta block.
    """
    if len(data) < HEADER_BYTES:
        raise CorruptData(f"delta block: {len(data)} bytes, expected at least {HEADER_BYTES}")
    if not data.startswith((common(spec, VERSION), common(spec, SUMMED_VERSION))):
        raise _another_kind(data, spec)
    slot_start_ms, newest_ms, *others = _OWN.unpack_from(data, _COMMON.size)
    if slot_start_ms % spec.slot_ms or not columns.are_times(slot_start_ms, newest_ms):
        raise CorruptData(
            f"delta block: slot {slot_start_ms} ms, newest {newest_ms} ms: expected the start of a "
            f"slot of {spec.slot_ms} ms, and a time"
        )
    return Header(slot_start_ms, newest_ms, *others)


@functools.cache
def common(spec: Spec, version: int) -> bytes:
    """How every block of a spec begins."""
    shape = len(spec.measures), len(spec.half_lives_days)
    return _COMMON.pack(version, _KIND, *shape, spec.tag)


def _another_kind(data: bytes, spec: Spec) -> CorruptData | FormatVersionError:
    """What is wrong with bytes that begin otherwise."""
    version, kind, measures, half_lives, tag = _COMMON.unpack_from(data)
    if kind != _KIND:
        return CorruptData(f"delta block: kind {kind:02x}, expected {_KIND:02x}")
    if version not in (VERSION, SUMMED_VERSION):
        return FormatVersionError(
            f"delta block: format version {version}, expected {VERSION}", hint=_OTHER_TOPIC
        )
    return CorruptData(
        f"delta block: spec {tag:08x} of {measures} measures and {half_lives} half-lives, "
        f"expected {spec.tag:08x}",
        hint=_OTHER_TOPIC,
    )


def decode(data: bytes, spec: Spec) -> DeltaBlock:
    """One delta block.

    Raises:
        FormatVersionError, CorruptData: see `header`; or what follows it is not what it says.
    """
    slot_start_ms, newest_ms, epoch, offset, n, logs = header(data, spec)
    start = HEADER_BYTES + 8 * logs
    if start > len(data):
        raise CorruptData(f"delta block: {len(data)} bytes, but {logs} log ids end at {start}")
    log_ids = np.frombuffer(data, "<u8", logs, HEADER_BYTES).astype(np.int64)
    if (log_ids[1:] <= log_ids[:-1]).any():
        raise CorruptData("delta block: log ids are not in order")
    if data[0] == SUMMED_VERSION:
        rows = _summed(data, start, n, newest_ms, spec)
        return DeltaBlock(slot_start_ms, epoch, offset, log_ids, no_impressions(spec), rows)
    if newest_ms > slot_start_ms + spec.slot_ms + spec.max_ahead_ms:
        raise CorruptData(
            f"delta block: newest {newest_ms} ms, more than {spec.max_ahead_ms} ms behind the end "
            f"of the slot that starts at {slot_start_ms} ms"
        )
    impressions = impression_columns.decode(data, start, n, newest_ms, spec)
    return DeltaBlock(slot_start_ms, epoch, offset, log_ids, impressions)


def _summed(data: bytes, start: int, n: int, newest_ms: int, spec: Spec) -> Rows:
    """The rows of a block of version 2."""
    table = StoredTable(data, start, n, newest_ms, spec, F64)
    if table.end != len(data):
        raise CorruptData(f"delta block: {len(data)} bytes, expected {table.end}")
    rows = table.take(ALL)
    if not columns.ascend(rows.items):
        raise CorruptData("delta block: items are not in order")
    return rows


def row_count(data: bytes) -> int:
    """How many rows a block says it has; 0 if it is cut short."""
    return int(_OWN.unpack_from(data, _COMMON.size)[-2]) if len(data) >= HEADER_BYTES else 0
