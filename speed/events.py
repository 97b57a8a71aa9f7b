"""What is done with the engine's events before they are records: order, size, times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from speed.state import Record


def without_jump(events: Sequence[Any]) -> Sequence[Any]:
    """The events up to the first one that does not follow its predecessor."""
    for i in range(1, len(events)):
        if events[i].message.offset > events[i - 1].message.offset + 1:
            return events[:i]
    return events


def record_of(event: Any) -> Record:
    """A Faust event as a record; its time is in seconds there."""
    message = event.message
    return Record(message.offset, round(message.timestamp * 1000), message.value)


def chunks(events: Sequence[Any], size_bytes: int) -> Iterator[list[Any]]:
    """Events in pieces of about so many bytes, never empty."""
    piece: list[Any] = []
    held = 0
    for event in events:
        piece.append(event)
        held += len(event.message.value or b"")
        if held >= size_bytes:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece
