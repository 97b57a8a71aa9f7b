"""Where the logs of a record lie in its bytes: read without looking into them.

    record   field*               protobuf's wire format
    log      a field of number 1 and wire type 2; fields of other numbers or types are passed over

So a log that does not decode costs itself and not its record, and how many logs there are is known
before anything is made of them. This is the plain form; impressions/compiled/flush_kernels.py walks
the same way over many records at once, and is tested equal to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from impressions.core.event import Reason
from impressions.formats.varint import varint

MAX_VALUE_BYTES = 8 << 20
"""Of a record, uncompressed: as much as the source topic takes compressed, which is all that a
broker looks at. 24 MiB of zeros arrive as a few KB."""

MAX_RECORD_LOGS = 100_000
"""Of one record: at 80 bytes, what a log of one impression has, so many fill it."""

LEAST_LOG_BYTES = 36
"""Of a log with an impression in a record: 2 around it, and 34 with unpacked columns."""

MAX_GROUPS = 100
"""One in the other, as deep as protobuf reads."""

KEPT_BYTES = 64 << 10
"""Of a value that is too large: enough to see whose it is."""

LOG_TAG = 0x0A
_MAX_TAG, _TAG_BYTES, _LENGTH_BYTES, _VARINT_BYTES = 0xFFFFFFFF, 5, 5, 10
_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)


class Malformed(ValueError):
    """Bytes that are no fields."""


class Cut(bytes):
    """The beginning of a value that is too large to be kept, and how long it was."""

    value_bytes: int

    @classmethod
    def of(cls, value: bytes) -> Cut:
        cut = cls(value[:KEPT_BYTES])
        cut.value_bytes = whole_bytes(value)
        return cut


class Field(NamedTuple):
    """One field of a message: it is [begin, end), what it holds [start, end)."""

    tag: int
    begin: int
    start: int
    end: int

    @property
    def number(self) -> int:
        return self.tag >> 3


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in order; a group is one. Malformed: the next one is none."""
    at = 0
    while at < len(message):
        tag, start = _tag(message, at)
        if tag >> 3 == 0:
            raise Malformed("a field of number 0")
        end = _behind(message, start, tag)
        if tag & 7 == _BYTES:
            start = _length(message, start)[1]
        yield Field(tag, at, start, end)
        at = end


def log_ranges(value: bytes) -> tuple[list[tuple[int, int]], Reason]:
    """[start, end) of each log; none of them where the reason is not OK.

    The reason is UNDECODABLE for bytes that are no record, TOO_LARGE for more than
    `MAX_VALUE_BYTES`, or more than `MAX_RECORD_LOGS`, whatever stands behind those.
    """
    if is_too_large(value):
        return [], Reason.TOO_LARGE
    if usual := _logs_alone(value):
        return usual, Reason.OK
    found: list[tuple[int, int]] = []
    try:
        for tag, _, start, end in fields(value):
            if tag == LOG_TAG:
                if len(found) == MAX_RECORD_LOGS:
                    return [], Reason.TOO_LARGE
                found.append((start, end))
    except Malformed:
        return [], Reason.UNDECODABLE
    return found, Reason.OK


def _logs_alone(value: bytes) -> list[tuple[int, int]] | None:
    """The same of a record as libraries write it: logs of up to 2 MiB in shortest form, and nothing
    else. None: look closer. Landing asks it of every record that has a rejected impression."""
    found: list[tuple[int, int]] = []
    at, end = 0, len(value)
    while at + 4 <= end and value[at] == LOG_TAG and len(found) < MAX_RECORD_LOGS:
        size, at = value[at + 1], at + 2
        for shift in (7, 14):
            if size >> (shift - 7) < 128:
                break
            size, at = size - (128 << (shift - 7)) + (value[at] << shift), at + 1
        found.append((at, at + size))
        if size >> 21:
            return None
        at += size
    return found if at == end else None


def kept(value: bytes | None) -> bytes | None:
    """What is held of a value: all of it, or the beginning where it is too large."""
    return value if value is None or not is_too_large(value) else Cut.of(value)


def whole_bytes(value: bytes) -> int:
    """How long a value was when it came."""
    return value.value_bytes if isinstance(value, Cut) else len(value)


def is_too_large(value: bytes) -> bool:
    """Whether a value is not looked into."""
    return len(value) > MAX_VALUE_BYTES or isinstance(value, Cut)


def record_of(log: bytes) -> bytes:
    """The record that holds one log."""
    return bytes([LOG_TAG]) + varint(len(log)) + log


def _behind(value: bytes, at: int, tag: int) -> int:
    """Where the field ends whose tag was read; a group with all that is in it."""
    open_groups: list[int] = []
    while True:
        kind, number = tag & 7, tag >> 3
        if kind == _GROUP:
            if len(open_groups) == MAX_GROUPS:
                raise Malformed("no field")
            open_groups.append(number)
        elif kind == _END_GROUP:
            if not open_groups or open_groups.pop() != number:
                raise Malformed("no field")
        else:
            at = _behind_one(value, at, kind)
        if not open_groups:
            return at
        tag, at = _tag(value, at)


def _behind_one(value: bytes, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(value, at, _VARINT_BYTES)[1]
    if kind == _BYTES:
        length, at = _length(value, at)
        return at + length
    if kind not in (_FIXED64, _FIXED32):
        raise Malformed("no field")
    at += 8 if kind == _FIXED64 else 4
    if at > len(value):
        raise Malformed("no field")
    return at


def _tag(value: bytes, at: int) -> tuple[int, int]:
    tag, at = _varint(value, at, _TAG_BYTES)
    if tag > _MAX_TAG:
        raise Malformed("no field")
    return tag, at


def _length(value: bytes, at: int) -> tuple[int, int]:
    length, at = _varint(value, at, _LENGTH_BYTES)
    if length > len(value) - at:
        raise Malformed("no field")
    return length, at


def _varint(value: bytes, at: int, at_most: int) -> tuple[int, int]:
    """A number of at most so many bytes, and where it ends."""
    number = 0
    for i in range(at, min(at + at_most, len(value))):
        byte = value[i]
        number |= (byte & 0x7F) << 7 * (i - at)
        if byte < 0x80:
            return number, i + 1
    raise Malformed("no field")
