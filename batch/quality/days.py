"""The ingest days of raw: which are over and closed, and which files they consist of.

A day's row names the files it was counted from, and a file never changes: a day whose files are
others now was closed again, or never counted. So what lacks a row is known from metadata, also
after a run that was killed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake.data_files import LiveFile, live_files
from batch.lake.slot_states import slot_states
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Day:
    """A day of raw, and its files by slot."""

    number: int
    slots: dict[int, tuple[LiveFile, ...]]

    @property
    def files(self) -> str:
        """Equal for equal content."""
        return files_name(file for files in self.slots.values() for file in files)


def files_name(files: Iterable[LiveFile]) -> str:
    """A digest of which files these are."""
    paths = "\n".join(sorted(file.path for file in files))
    return hashlib.sha256(paths.encode()).hexdigest()[:32]


def closed_days(raw: Table, snapshot_id: int | None, until_ms: int) -> dict[int, Day]:
    """Days that end by `until_ms`, all of whose slots are closed; from metadata."""
    states = slot_states(raw, snapshot_id)
    open_days = {slot // DAY_MS for slot, state in states.items() if not state.closed}
    slots: dict[int, dict[int, list[LiveFile]]] = {}

    def wanted(partition: object) -> bool:
        day = partition["ingest_slot"] // 1000 // DAY_MS  # type: ignore[index]
        return day not in open_days and (day + 1) * DAY_MS <= until_ms

    for file in live_files(raw, snapshot_id, wanted):
        of_day = slots.setdefault(file.slot_ms // DAY_MS, {})
        of_day.setdefault(file.slot_ms, []).append(file)
    return {
        day: Day(day, {slot: tuple(files) for slot, files in sorted(of.items())})
        for day, of in sorted(slots.items())
    }
