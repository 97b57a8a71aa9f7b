"""A table of a file through the mapping: canonical columns, and why a row cannot be sent.

What is absent and what has no place on the wire stays here, with its reason. A value that is there
but breaks the rule is sent: the readers reject it, and keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.canonical import END_MS, FIRST_MS, UNREADABLE_ID
from batch.ids import NULL, SEPARATOR
from batch.mapping import HashOf, ImportMapping, Kind, Source
from cli.replay import cells
from cli.replay.cells import Cells
from impressions.decay import Float, Int
from impressions.event import Reason
from impressions.ids import LOG_BITS, PROFILE_BITS, TITLE_BITS, hash_id
from impressions.kafka.records import ABSENT

if TYPE_CHECKING:
    import pyarrow as pa

_WIRE_UINT32 = (1 << 32) - 1
_HASH_BITS = {"profile_id": PROFILE_BITS, "title_id": TITLE_BITS, "log_id": LOG_BITS}


@dataclass(frozen=True)
class Events:
    """n rows in the order of their file; (n,) each. `row`, `position`: ABSENT where not given."""

    profile_id: Int
    title_id: Int
    location: Int
    row: Int
    position: Int
    event_ms: Int
    ingest_ms: Int
    played: NDArray[np.bool_]
    dwell_s: Float
    log_id: Int
    device_type: NDArray[np.object_]
    app_version: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.profile_id)

    def take(self, which: NDArray[np.generic]) -> Events:
        """Some rows, by mask or by index."""
        return Events(*(getattr(self, f.name)[which] for f in fields(self)))


def concatenated(parts: list[Events]) -> Events:
    """The rows of several tables."""
    return Events(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Events))
    )


def read_events(
    table: pa.Table, kinds: Mapping[str, Kind], mapping: ImportMapping, source: str
) -> tuple[Events, NDArray[np.uint8]]:
    """All rows of a table, and the reason of each that cannot be sent (0 = it can).

    Args:
        source: names the file. Without a log_id a row is its own log, with an id made of that name
            and the row's number, so that the same file has the same ids.
    """
    return _Reader(table, kinds, mapping, source).read()


@dataclass
class _Reader:
    table: pa.Table
    kinds: Mapping[str, Kind]
    mapping: ImportMapping
    source: str

    def read(self) -> tuple[Events, NDArray[np.uint8]]:
        profile, title, log_id = (self._id(t) for t in ("profile_id", "title_id", "log_id"))
        if "log_id" not in self.mapping:
            log_id = self._row_ids
        event, ingest = self._time("event_time"), self._ingest
        played, row, position = self._played, self._int("row"), self._int("position")
        unreadable = played.unreadable | row.unreadable | position.unreadable
        failures = (
            (Reason.MISSING_PROFILE, profile.absent),
            (Reason.MISSING_TITLE, title.absent),
            (Reason.MISSING_EVENT_TIME, event.absent | event.unreadable),
            (Reason.MISSING_INGEST_TIME, ingest.absent | ingest.unreadable),
            (Reason.MISSING_LOG_ID, log_id.absent | log_id.unreadable | (log_id.value <= 0)),
            (Reason.UNDECODABLE, unreadable),
            (Reason.BAD_PROFILE, profile.unreadable | (profile.value < 0)),
        )
        reasons = np.select([f for _, f in failures], [r for r, _ in failures], Reason.OK)
        events = Events(
            profile_id=profile.value,
            title_id=title.filled(0, UNREADABLE_ID),
            location=_on_wire(self._int("location").filled(0, UNREADABLE_ID)),
            row=_optional(row),
            position=_optional(position),
            event_ms=event.value,
            ingest_ms=ingest.value,
            played=(played.value == 1) & ~played.absent,
            dwell_s=self._dwell_s,
            log_id=log_id.value,
            device_type=self._texts("device_type"),
            app_version=self._texts("app_version"),
        )
        return events, reasons.astype(np.uint8)

    def _source(self, target: str) -> Source | None:
        source = self.mapping.sources.get(target)
        return source if isinstance(source, Source) else None

    def _int(self, target: str) -> Cells:
        source = self._source(target)
        if source is None:
            return cells.nothing(len(self.table))
        return cells.whole_numbers(self.table[source.column])

    def _id(self, target: str) -> Cells:
        found = self.mapping.sources.get(target)
        if isinstance(found, HashOf):
            return self._content(found.columns)
        if isinstance(found, Source) and found.unit == "hash":
            return cells.hashes(self.table[found.column], _HASH_BITS[target])
        return self._int(target)

    def _time(self, target: str) -> Cells:
        source = self._source(target)
        assert source is not None, target
        return cells.times_ms(self.table[source.column], source, self.kinds[source.column])

    @cached_property
    def _ingest(self) -> Cells:
        found = self._time("event_time" if self.mapping.ingest_is_event else "ingest_time")
        implausible = (found.value < FIRST_MS) | (found.value >= END_MS)
        return Cells(found.value, found.absent, found.unreadable | implausible)

    @property
    def _played(self) -> Cells:
        source = self._source("played")
        n = len(self.table)
        return cells.yes_or_no(self.table[source.column]) if source else cells.nothing(n)

    @property
    def _dwell_s(self) -> Float:
        source = self._source("dwell_s")
        if source is None:
            return np.zeros(len(self.table))
        return cells.seconds(self.table[source.column], source.unit or "s")

    def _texts(self, target: str) -> NDArray[np.object_]:
        source = self._source(target)
        found = cells.texts(self.table[source.column]) if source else [""] * len(self.table)
        return np.array(found, np.object_)

    def _content(self, columns: tuple[str, ...]) -> Cells:
        """hash(a,b,...): numbers and booleans enter it as the import writes them."""
        values = zip(*(self.table[column].to_pylist() for column in columns), strict=True)
        return _ids([content_id(row) for row in values])

    @property
    def _row_ids(self) -> Cells:
        rows = range(len(self.table))
        return _ids([hash_id(f"{self.source}:{row}", LOG_BITS) or 1 for row in rows])


def content_id(values: tuple[object, ...]) -> int:
    """One id of several values, as batch/ids.py makes it; never 0, which means missing."""
    parts = [NULL if value is None else _text(value) for value in values]
    return hash_id(SEPARATOR.join([*parts, ""]), LOG_BITS) or 1


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ids(values: list[int]) -> Cells:
    none = np.zeros(len(values), np.bool_)
    return Cells(np.array(values, np.int64), none, none)


def _optional(found: Cells) -> Int:
    """Row or position; ABSENT also where the wire has no such number."""
    fits = ~found.absent & (found.value >= 0) & (found.value <= _WIRE_UINT32)
    return np.where(fits, found.value, ABSENT)


def _on_wire(location: Int) -> Int:
    """A location the wire cannot hold becomes one that the readers reject."""
    fits = (location >= 0) & (location <= _WIRE_UINT32)
    return np.where(fits, location, _WIRE_UINT32)
