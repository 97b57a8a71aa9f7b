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

from dataclasses import asdict, dataclass

from impressions.core.errors import CorruptData, FormatVersionError
from impressions.formats import sealed
from impressions.formats.generation_paths import is_generation
from impressions.formats.sealed import Record

VERSION = 1
_ACTIVATE = "impressions bulkload activate <generation>"
_LOAD = "impressions bulkload load <generation>"


@dataclass(frozen=True)
class Pointer:
    """What `CURRENT` says."""

    generation: str
    previous: str | None
    activated_ms: int


@dataclass(frozen=True)
class Loaded:
    """What a finished load says: which shards this host holds, and how many profiles."""

    generation: str
    shards: tuple[int, ...]
    rows: int
    loaded_ms: int


@dataclass(frozen=True)
class Checked:
    """When every byte and row of a loaded generation was read, and all were well."""

    generation: str
    checked_ms: int


def encode_pointer(pointer: Pointer) -> bytes:
    return sealed.seal({"format": VERSION, **asdict(pointer)})


def decode_pointer(data: bytes) -> Pointer:
    """Read `CURRENT`. Raises CorruptData, FormatVersionError with the line that points again."""
    pointer = _decode(Pointer, data, "CURRENT", _ACTIVATE)
    for name in (pointer.generation, pointer.previous):
        if name is not None and not is_generation(name):
            raise CorruptData(f"CURRENT: {name!r} is no generation's name", hint=_ACTIVATE)
    return pointer


def encode_loaded(loaded: Loaded) -> bytes:
    return sealed.seal({"format": VERSION, **asdict(loaded)})


def decode_loaded(data: bytes) -> Loaded:
    """Read `loaded.json`. Raises CorruptData, FormatVersionError with the line that loads again."""
    return _decode(Loaded, data, "loaded.json", _LOAD)


def encode_checked(checked: Checked) -> bytes:
    return sealed.seal({"format": VERSION, **asdict(checked)})


def decode_checked(data: bytes) -> Checked:
    """Read `checked.json`. Raises CorruptData, FormatVersionError."""
    return _decode(Checked, data, "checked.json", "impressions bulkload heal")


def _decode(kind: type[Record], data: bytes, name: str, hint: str) -> Record:
    try:
        body = sealed.unseal(data, name)
        sealed.check_version(body, name, VERSION, hint)
        return sealed.as_record(kind, body, name)
    except FormatVersionError:
        raise
    except CorruptData as error:
        raise CorruptData(error.message, hint=hint) from None
