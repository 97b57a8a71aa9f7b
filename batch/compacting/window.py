"""The window of one cutover: the files of raw that a generation is computed from, from metadata.

The window's slots are [first_slot_ms, cutover): the slot before the window's first day may hold
its events, because a device's clock may run ahead of the broker's (impressions/core/window.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake.data_files import LiveFile, bound, live_files
from batch.lake.slot_states import slot_states
from impressions.core import window
from impressions.core.errors import Refused
from impressions.core.slot import format_utc, next_slot_ms
from impressions.core.spec import Spec

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Window:
    """What a snapshot of raw holds between two slots.

    Attributes:
        source_id: the snapshot.   slots: starts of the slots with rows, ascending.
        files: in the window, by (slot, path).   outside: how many are not in it.
        digest: sha256, hex, over the sorted paths of the window's files. A file never changes, so
            equal digests mean equal content.
        open_slots: those of `slots` that are not closed.
    """

    source_id: int
    slots: tuple[int, ...]
    files: tuple[LiveFile, ...]
    outside: int
    digest: str
    open_slots: tuple[int, ...]

    @property
    def rows(self) -> int:
        return sum(file.data.record_count for file in self.files)


def survey(raw: Table, source_id: int, cutover_ms: int, spec: Spec) -> Window:
    """Look at the window of `cutover_ms` in one snapshot of raw; reads metadata only."""
    files = live_files(raw, source_id)
    first_ms = window.first_slot_ms(cutover_ms, spec)
    inside = [file for file in files if first_ms <= file.slot_ms < cutover_ms]
    inside.sort(key=lambda file: (file.slot_ms, file.path))
    _check_not_cut(raw, inside, cutover_ms, spec)
    states = slot_states(raw, source_id)
    slots = sorted({file.slot_ms for file in inside})
    return Window(
        source_id=source_id,
        slots=tuple(slots),
        files=tuple(inside),
        outside=len(files) - len(inside),
        digest=_digest(file.path for file in inside),
        open_slots=tuple(slot for slot in slots if not states[slot].closed),
    )


def _check_not_cut(raw: Table, inside: Sequence[LiveFile], cutover_ms: int, spec: Spec) -> None:
    """Refuse a cutover in the middle of a day of history, which is one partition."""
    newest = (bound(raw, file.data, "ingest_time", upper=True) for file in inside)
    newest_ms = max((us // 1000 for us in newest if us is not None), default=0)
    if newest_ms >= cutover_ms:
        first = format_utc(next_slot_ms(newest_ms, spec))
        raise Refused(
            f"cutover {format_utc(cutover_ms)} cuts through a day of imported history, which "
            f"reaches until {format_utc(newest_ms)}",
            hint=f"--logical-date {first} or later, or a UTC midnight",
            reason="cuts_history",
        )


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()
