"""Rows of files that can be sent, in memory, and why the others cannot.

What is absent, cannot be read or has no place on the wire stays here, with its reason. A value that
is there but breaks the rule is sent: the readers reject it, and keep it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.event import Reason
from impressions.core.ids import LOG_BITS, hash_id
from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from batch.mapping.grammar import ImportMapping
    from batch.mapping.judge import Judged

_WIRE_UINT32 = (1 << 32) - 1
_NOT_SENT = (
    Reason.UNDECODABLE, Reason.MISSING_PROFILE, Reason.MISSING_TITLE, Reason.MISSING_EVENT_TIME,
    Reason.BAD_EVENT_TIME, Reason.MISSING_INGEST_TIME, Reason.BAD_INGEST_TIME,
    Reason.MISSING_LOG_ID, Reason.BAD_LOG_ID, Reason.BAD_PROFILE,
)  # fmt: skip


@dataclass(frozen=True)
class Events:
    """n rows in the order of their files; (n,) each. `row`, `position`: -1 where not given."""

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


def read_events(
    patterns: Sequence[str], mapping: ImportMapping, spec: Spec, now_ms: int
) -> tuple[Events, Counter[str], list[str]]:
    """All rows that can be sent, label of a reason -> rows that cannot, what else is to be said.

    Raises:
        UsageError, CorruptData: nothing there, or not what its name says.
        MappingError: the mapping does not fit the columns.
    """
    from batch.files.find import files_under
    from batch.files.reader import open_files, read

    files, notes, _ = files_under(patterns)
    parts, not_sent = [], Counter[str]()
    for opened in open_files(files, mapping):
        for piece in opened.pieces(max_rows=1 << 20):
            for judged in read(piece, mapping, spec, now_ms):
                events, reasons = _sendable(judged, mapping, opened.file.source)
                parts.append(events)
                not_sent.update(reasons)
    return _concatenated(parts), not_sent, notes


def _sendable(judged: Judged, mapping: ImportMapping, source: str) -> tuple[Events, Counter[str]]:
    identified = "log_id" in mapping
    reason = judged.reason.copy()
    if identified:  # 0 says "none" on the wire, and it has no sign
        reason[(judged.log_id <= 0) & ~np.isin(reason, _NOT_SENT)] = Reason.MISSING_LOG_ID
    kept = ~np.isin(reason, _NOT_SENT)
    counts = np.bincount(reason[~kept], minlength=1)
    left = Counter({Reason(code).label: int(n) for code, n in enumerate(counts) if n})
    rows = judged.row_number[kept]
    events = Events(
        profile_id=judged.profile_id[kept],
        title_id=judged.title_id[kept],
        location=_on_wire(judged.location[kept]),
        row=judged.row[kept],
        position=judged.position[kept],
        event_ms=judged.event_ms[kept],
        ingest_ms=judged.ingest_ms[kept],
        played=judged.played[kept],
        dwell_s=judged.dwell_s[kept],
        log_id=judged.log_id[kept] if identified else _row_ids(source, rows),
        device_type=_texts(judged.device_type)[kept],
        app_version=_texts(judged.app_version)[kept],
    )
    return events, left


def _concatenated(parts: list[Events]) -> Events:
    if not parts:
        ints, flags, texts = np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.object_)
        ids, places, times = (ints, ints), (ints, ints, ints), (ints, ints)
        return Events(*ids, *places, *times, flags, np.zeros(0), ints, texts, texts)
    return Events(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Events))
    )


def _row_ids(source: str, rows: Int) -> Int:
    """Without a log_id a row is its own log; the same file has the same ids each time."""
    ids = [hash_id(f"{source}:{row}", LOG_BITS) or 1 for row in rows.tolist()]
    return np.array(ids, np.int64)


def _texts(column: pa.Array) -> NDArray[np.object_]:
    return np.array(column.fill_null("").to_pylist(), np.object_)


def _on_wire(location: Int) -> Int:
    """A location the wire cannot hold becomes one that the readers reject."""
    fits = (location >= 0) & (location <= _WIRE_UINT32)
    return np.where(fits, location, _WIRE_UINT32)
