"""The two small files of a serving host: which generation it serves, and what a load brought.

    CURRENT       := sealed {"generation", "previous", "activated_ms"}
    loaded.json   := sealed {"generation", "shards", "rows", "loaded_ms"}

`CURRENT` is replaced by a rename, so a reader sees the old or the new one, never a part.
`previous` is the backup that a rollback returns to; null when there is none. `loaded.json` is the
last file a load writes into a generation's directory: without it the directory is not a loaded
generation. Both are sealed (impressions/sealed.py), so a damaged one is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from impressions import sealed
from impressions.errors import CorruptData
from impressions.generation import is_generation


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


def encode_pointer(pointer: Pointer) -> bytes:
    return sealed.seal(asdict(pointer))


def decode_pointer(data: bytes) -> Pointer:
    """Read `CURRENT`. Raises CorruptData with the line that points again."""
    hint = "impressions bulkload activate <generation>"
    try:
        pointer = Pointer(**sealed.unseal(data, "CURRENT"))
        names = [pointer.generation, *([pointer.previous] if pointer.previous else [])]
        if all(is_generation(name) for name in names):
            return pointer
    except CorruptData as error:
        raise CorruptData(error.message, hint=hint) from None
    except TypeError:
        pass
    raise CorruptData("CURRENT: not a pointer to a generation", hint=hint)


def encode_loaded(loaded: Loaded) -> bytes:
    return sealed.seal(asdict(loaded))


def decode_loaded(data: bytes) -> Loaded:
    """Read `loaded.json`. Raises CorruptData with the line that loads again."""
    hint = "impressions bulkload load <generation>"
    try:
        body = sealed.unseal(data, "loaded.json")
        return Loaded(**{**body, "shards": tuple(body.get("shards", ()))})
    except CorruptData as error:
        raise CorruptData(error.message, hint=hint) from None
    except TypeError as error:
        raise CorruptData(f"loaded.json: not a load record ({error})", hint=hint) from None
