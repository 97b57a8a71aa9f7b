"""The small files of a serving host: which generation it serves, what a load brought, and when its
bytes were read last.

    CURRENT       := sealed {"format": 1, "generation", "previous", "activated_ms"}
    loaded.json   := sealed {"format": 1, "generation", "shards", "rows", "loaded_ms"}
    checked.json  := sealed {"format": 1, "generation", "checked_ms"}

`CURRENT` is replaced by a rename, so a reader sees the old or the new one, never a part.
`previous` is the backup that a rollback returns to; null when there is none. `loaded.json` is the
last file a load writes into a generation's directory: without it the directory is not a loaded
generation. All are sealed (impressions/formats/sealed.py), so a damaged one is refused; a damaged
`checked.json` counts as none.
"""

from __future__ import annotations

from dataclasses import dataclass

from impressions.core.errors import CorruptData
from impressions.formats.generation_paths import CHECKED, CURRENT, LOADED, is_generation
from impressions.formats.sealed import SealedRecord


@dataclass(frozen=True)
class Pointer(SealedRecord):
    """What `CURRENT` says. Raises CorruptData for what is no generation's name."""

    FILE, AGAIN = CURRENT, "impressions bulkload activate <generation>"

    generation: str
    previous: str | None
    activated_ms: int

    def __post_init__(self) -> None:
        for name in (self.generation, self.previous):
            if name is not None and not is_generation(name):
                raise CorruptData(f"{CURRENT}: {name!r} is no generation's name", hint=self.AGAIN)


@dataclass(frozen=True)
class Loaded(SealedRecord):
    """What a finished load says: which shards this host holds, and how many profiles."""

    FILE, AGAIN = LOADED, "impressions bulkload load <generation>"

    generation: str
    shards: tuple[int, ...]
    rows: int
    loaded_ms: int


@dataclass(frozen=True)
class Checked(SealedRecord):
    """When every byte and row of a loaded generation was read, and all were well."""

    FILE, AGAIN = CHECKED, "impressions bulkload heal"

    generation: str
    checked_ms: int
