"""Which files below a table's location nobody needs. Pure; times in ms.

    freed      a snapshot named it that is gone now, and none that is there does. Its snapshot was
               old by the commits' stamps; the file's own time is not asked
    orphan     nothing names it, nor did before. A job that runs writes its files first and commits
               them last, so it must be old: by the store's clock, by the time in its name where
               there is one, and the store's clock must have agreed with the commits so far

Files were listed before the metadata was read that says what is needed, so one that is committed
meanwhile is needed. And all that is needed must be among the files that were listed: else the
listing is not of this table, or names are spelled in another way, and nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from batch.lake.stored_files import StoredFile
from batch.lake.times_in_names import time_in
from impressions.core.spec import DAY_MS

_KINDS = (".parquet", ".avro", ".puffin", ".metadata.json", ".orc", ".stats")
_CLOCKS_DIFFER_MS = DAY_MS


@dataclass(frozen=True)
class Unneeded:
    """What may be deleted."""

    freed: tuple[StoredFile, ...]
    orphans: tuple[StoredFile, ...]


def unneeded(
    files: Iterable[StoredFile], before: Set[str], needed: Set[str], old_ms: int | None
) -> Unneeded:
    """Args:
    before: keys of files that snapshots named before some were removed.
    needed: keys of those that the metadata names now.
    old_ms: orphans were written by then; None: none of them goes.
    """
    freed, orphans = [], []
    for file in files:
        if file.key in needed or not file.key.endswith(_KINDS):
            continue
        if file.key in before:
            freed.append(file)
        elif old_ms is not None and _is_old(file, old_ms):
            orphans.append(file)
    return Unneeded(tuple(freed), tuple(orphans))


def not_listed(files: Iterable[StoredFile], location_key: str, needed: Iterable[str]) -> list[str]:
    """Needed files below the table's location that the listing lacks."""
    there = {file.key for file in files}
    below = location_key.rstrip("/") + "/"
    return sorted(key for key in needed if key.startswith(below) and key not in there)


def store_runs_behind(
    files: Sequence[StoredFile], stamps_ms: Mapping[str, int]
) -> tuple[str, int] | None:
    """A manifest list that the store says is older, by more than a day, than its snapshot says it
    is: the key, and by how much. Then a file that was just written may look old.

    Args:
        stamps_ms: key of a manifest list -> stamp of its snapshot.
    """
    behind = [
        (stamps_ms[file.key] - file.modified_ms, file.key)
        for file in files
        if file.key in stamps_ms and file.modified_ms is not None
    ]
    most_ms, key = max(behind, default=(0, ""))
    return (key, most_ms) if most_ms > _CLOCKS_DIFFER_MS else None


def _is_old(file: StoredFile, old_ms: int) -> bool:
    named_ms = time_in(file.key)
    return (
        file.modified_ms is not None
        and file.modified_ms <= old_ms
        and (named_ms is None or named_ms <= old_ms)
    )
