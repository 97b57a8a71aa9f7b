"""How much of what was fetched is unpacked at once: by bytes, where aiokafka counts records.

A fetch is some MiB of compressed batches, which aiokafka unpacks record by record while it fills a
poll, up to `max_records`. Records that compress a thousandfold would make gigabytes of it.
`FetchMemory` is passed instead of that number. It is full when the values of this poll and of all
pieces under way are so many bytes; what is left of the fetch waits, compressed. A piece is under
way until it was applied (`free`), or until nothing refers to it any more, as after a rebalance.
Such a piece may be part of a reference cycle, which Python seldom collects in this process
(speed/main.py); so it is made to collect while the memory stays full.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from impressions.formats.flush_framing import kept
from speed.fetches import Piece

_COLLECT_EVERY = 20
"""Polls with full memory, one after the other: a second."""


class FetchMemory:
    """Stands for `max_records` of aiokafka's `fetched_records`, which asks `taken >= max_records`,
    subtracts what it got of a partition, and asks whether 0 is left.

    One thread polls and unpacks; any thread may drop the last reference to a piece.
    """

    def __init__(self, size_bytes: int):
        self._size_bytes = size_bytes
        self._left = size_bytes
        self._polls_while_full = 0
        self._under_way: dict[int, tuple[weakref.ref[Piece[Any]], int]] = {}

    @property
    def full(self) -> bool:
        return self._left <= 0

    def measure(self) -> None:
        """Another poll begins: it may take what pieces under way leave."""
        held = list(self._under_way.values())
        self._left = self._size_bytes - sum(size_bytes for _, size_bytes in held)
        self._polls_while_full = self._polls_while_full + 1 if self.full else 0
        if self._polls_while_full == _COLLECT_EVERY:
            self._polls_while_full = 0
            gc.collect()

    def keep(self, value: bytes | None) -> bytes | None:
        """The deserializer of values: counts what is kept of one."""
        part = kept(value)
        self._left -= len(part or b"")
        return part

    def hold(self, piece: Piece[Any]) -> None:
        """Count a piece until it is freed, or gone."""
        key, size_bytes = id(piece), sum(len(record.value or b"") for record in piece.records)
        gone = weakref.ref(piece, lambda _: self._under_way.pop(key, None))
        self._under_way[key] = gone, size_bytes

    def free(self, piece: Piece[Any]) -> None:
        """The records of a piece were handled; it drops them."""
        self._under_way.pop(id(piece), None)
        piece.records.clear()

    def __le__(self, records: int) -> bool:
        return self.full

    def __ge__(self, nothing: int) -> bool:
        return True

    def __isub__(self, records: int) -> FetchMemory:
        return self

    def __eq__(self, other: object) -> bool:
        return other == 0 and self.full

    __hash__ = None  # type: ignore[assignment]  # it changes
