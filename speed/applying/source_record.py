"""One record of the source topic, as the engine delivers it and a flush applies it."""

from __future__ import annotations

from typing import NamedTuple


class SourceRecord(NamedTuple):
    """A record. `append_ms` is the broker's time if `stamped`, else the producer's."""

    offset: int
    append_ms: int
    value: bytes | None
    stamped: bool = True
