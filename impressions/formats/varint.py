"""Protobuf's integers on the wire, for code that writes tags and lengths around its own columns.

Seven bits a byte, the lowest first, the top bit set while more follow. A negative number is its 64
bits of two's complement, as protobuf has int32 and int64.
"""

from __future__ import annotations


def varint(value: int) -> bytes:
    """One to ten bytes."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
