"""Protobuf messages built from pieces, so that each column is copied only once: into the response.

A message inside a message is its tag, its length and its bytes. A frame is the pieces of one
message and their size. To put a frame into another message, one piece is added in front and nothing
is copied; `joined` then copies each column from where it was computed into the response. protobuf
itself serializes everything small (names, context, status); only tags and lengths are written here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from impressions.formats.varint import varint

_VARINT, _LENGTH = 0, 2  # wire types


class Frame(NamedTuple):
    """A message in pieces: `bytes`, or arrays whose memory is one column."""

    size: int
    pieces: list[Any]


def of(*parts: bytes) -> Frame:
    """A frame of fields that are serialized already."""
    return Frame(sum(map(len, parts)), list(parts))


def inside(number: int, frame: Frame) -> Frame:
    """The field with this number that holds the message."""
    begin = head(number, frame.size)
    return Frame(len(begin) + frame.size, [begin, *frame.pieces])


def prepended(first: bytes, frame: Frame) -> Frame:
    """The message with more fields before it."""
    return Frame(len(first) + frame.size, [first, *frame.pieces])


def joined(frames: Iterable[Frame]) -> bytes:
    """The bytes of all frames, in order."""
    return b"".join([piece for frame in frames for piece in frame.pieces])


def integer(number: int, value: int) -> bytes:
    """A field of type int64, uint64 or uint32; nothing for 0, as proto3 has it."""
    return varint(number << 3 | _VARINT) + varint(value) if value else b""


@lru_cache(4096)
def head(number: int, size: int) -> bytes:
    """The tag and the length of a field of so many bytes."""
    return varint(number << 3 | _LENGTH) + varint(size)
