"""Protobuf written by compiled code: tags, lengths and varints into an array of bytes.

A packed column of fixed width is a tag, a length and little-endian values, so a column is computed
where it lies in the message.
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.table import compiled

OUT = types.Array(types.uint8, 1, "C", readonly=False, aligned=False)
"""A message that is written; columns begin anywhere in it."""


@compiled
def size_of(value):  # type: ignore[no-untyped-def]
    """Bytes of a varint."""
    size, rest = 1, np.uint64(value) >> np.uint64(7)
    while rest:
        size += 1
        rest >>= np.uint64(7)
    return size


@compiled
def put(out, at, value):  # type: ignore[no-untyped-def]
    """Write a varint; where it ends."""
    rest = np.uint64(value)
    while rest >= np.uint64(0x80):
        out[at] = np.uint8(rest & np.uint64(0x7F)) | np.uint8(0x80)
        at += 1
        rest >>= np.uint64(7)
    out[at] = np.uint8(rest)
    return at + 1


@compiled
def copy(out, at, source, begin, end):  # type: ignore[no-untyped-def]
    """Write source[begin:end]; where it ends."""
    for i in range(begin, end):
        out[at + i - begin] = source[i]
    return at + end - begin


@compiled
def inside_size(tag, size):  # type: ignore[no-untyped-def]
    """Bytes of a field with a length whose content has so many bytes."""
    return size_of(tag) + size_of(size) + size


@compiled
def head(out, at, tag, size):  # type: ignore[no-untyped-def]
    """Write tag and length of a field; where its content begins."""
    return put(out, put(out, at, tag), size)


@compiled
def integer_size(tag, value):  # type: ignore[no-untyped-def]
    """Bytes of an integer field: none for 0, as proto3 has it."""
    return size_of(tag) + size_of(value) if value else 0


@compiled
def integer(out, at, tag, value):  # type: ignore[no-untyped-def]
    """Write an integer field; where it ends."""
    return put(out, put(out, at, tag), value) if value else at
