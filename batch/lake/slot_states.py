"""The state of each ingest slot of raw, from metadata: how many rows, and how many are undecided.

A slot is *closed* when every row of it has `duplicate` decided (the files count their nulls) and no
delete of another engine waits to be applied: nothing is scanned to find out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake.data_files import live_files, manifests_of
from impressions.core.slot import format_utc

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table


@dataclass(frozen=True)
class SlotState:
    """Rows of one slot, how many are not decided yet, and whether deletes wait to be applied."""

    rows: int
    undecided: int
    has_deletes: bool = False

    @property
    def closed(self) -> bool:
        return self.undecided == 0 and not self.has_deletes


def slot_states(table: Table, snapshot_id: int | None) -> dict[int, SlotState]:
    """Slot start in ms -> its state, for the files of one snapshot of raw."""
    from pyiceberg.manifest import ManifestContent

    rows: Counter[int] = Counter()
    undecided: Counter[int] = Counter()
    manifests = manifests_of(table, snapshot_id)
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA:
            for slot, (n, open_) in _counts(table, manifest).items():
                rows[slot] += n
                undecided[slot] += open_
    marked: set[int] = set()
    if any(manifest.content != ManifestContent.DATA for manifest in manifests):
        marked = {f.slot_ms for f in live_files(table, snapshot_id) if f.deletes}
    return {slot: SlotState(n, undecided[slot], slot in marked) for slot, n in rows.items()}


def slot_names(slots: Iterable[int], slot_ms: int) -> list[str]:
    """Ranges of slots for people: `2026-11-01T00:00:00Z .. 2026-11-15T00:00:00Z`, end excluded."""
    return [f"{format_utc(start)} .. {format_utc(end)}" for start, end in runs(slots, slot_ms)]


def runs(slots: Iterable[int], slot_ms: int) -> list[tuple[int, int]]:
    """Slots as half-open ranges [start, end) of time, neighbours together."""
    ranges: list[tuple[int, int]] = []
    for slot in sorted(set(slots)):
        if ranges and ranges[-1][1] == slot:
            ranges[-1] = (ranges[-1][0], slot + slot_ms)
        else:
            ranges.append((slot, slot + slot_ms))
    return ranges


def nulls(table: Table, file: DataFile, column: str) -> int:
    """Nulls of a column in a file; all its rows where the file does not say."""
    field_id = table.schema().find_field(column).field_id
    return int((file.null_value_counts or {}).get(field_id, file.record_count))


_known: dict[str, dict[int, tuple[int, int]]] = {}
"""By the path of a manifest: one never changes, and a long-lived process asks again and again."""

_KNOWN_MOST = 20_000


def _counts(table: Table, manifest: ManifestFile) -> dict[int, tuple[int, int]]:
    """Slot -> (rows, undecided rows) of one manifest of data files."""
    path = manifest.manifest_path
    if path not in _known:
        names = [field.name for field in table.specs()[manifest.partition_spec_id].fields]
        at = names.index("ingest_slot")
        rows: Counter[int] = Counter()
        undecided: Counter[int] = Counter()
        for entry in manifest.fetch_manifest_entry(table.io):
            slot_ms = entry.data_file.partition[at] // 1000
            rows[slot_ms] += entry.data_file.record_count
            undecided[slot_ms] += nulls(table, entry.data_file, "duplicate")
        if len(_known) >= _KNOWN_MOST:
            _known.clear()
        _known[path] = {slot: (n, undecided[slot]) for slot, n in rows.items()}
    return _known[path]
