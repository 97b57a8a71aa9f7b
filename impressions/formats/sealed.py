"""Sealed JSON: small files that refuse to be read after a byte of them changed.

    file     := canonical JSON of an object that holds "checksum", and a newline
    checksum := sha256, hex, of the canonical JSON of the object without it, and a newline
    object   := {"format": version, the fields of one dataclass}; without a format it is version 1

Canonical: sorted keys, no spaces, ASCII. A file must equal its own canonical form byte for byte, so
a flipped byte anywhere is found, be it in a number, a name or the white space. The seal proves that
a file is as it was written, not that its writer was right: `as_record` looks at the types too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast, get_args, get_origin, get_type_hints

from impressions.core.errors import CorruptData, FormatVersionError

Record = TypeVar("Record")

_LARGEST = (1 << 63) - 1


class SealedRecord:
    """What a dataclass inherits that is the content of one small file, in version 1.

    Attributes:
        FILE: its name.   AGAIN: the line that writes it again.
    """

    FILE: ClassVar[str]
    AGAIN: ClassVar[str]

    def encode(self) -> bytes:
        """The bytes of the file."""
        return seal({"format": 1, **asdict(cast("Any", self))})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the file.

        Raises:
            CorruptData, FormatVersionError: damaged, or of another version; the hint is `AGAIN`.
        """
        try:
            body = unseal(data, cls.FILE)
            check_version(body, cls.FILE, 1, cls.AGAIN)
            return as_record(cls, body, cls.FILE)
        except FormatVersionError:
            raise
        except CorruptData as error:
            raise CorruptData(error.message, hint=cls.AGAIN) from None


def seal(body: dict[str, Any]) -> bytes:
    """The bytes of the file that holds `body` (JSON types only)."""
    return _canonical({**body, "checksum": _checksum(body)})


def unseal(data: bytes, name: str) -> dict[str, Any]:
    """The object in a sealed file, without its checksum.

    Raises:
        CorruptData: not JSON, not an object, not canonical, or the checksum does not match.
    """
    try:
        body = json.loads(data)
        canonical = _canonical(body) == data
        found = body.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptData(f"{name}: not a sealed JSON file ({error})") from None
    if not canonical or found != _checksum(body):
        raise CorruptData(f"{name}: checksum does not match; the file was damaged or edited")
    return dict(body)


def check_version(body: dict[str, Any], name: str, expected: int, rebuild: str) -> None:
    """Take the format's version out of an object that was unsealed.

    Raises:
        FormatVersionError: another than `expected`, with both; `rebuild` writes the file again.
    """
    found = body.pop("format", 1)
    if type(found) is not int or found != expected:
        raise FormatVersionError(
            f"{name}: format version {found!r:.20}, expected {expected}", hint=rebuild
        )


def as_record(kind: type[Record], body: object, name: str) -> Record:
    """The dataclass that an object stands for: its fields (those with a default may be missing),
    each of its type; whole numbers of 64 bits, text of printable ASCII, lists for tuples.

    Raises:
        CorruptData: a field too many, too few, or of another type.
    """
    expected = _types_of(cast("Any", kind))
    optional = {field for field in expected if hasattr(kind, field)}  # those with a default
    if not isinstance(body, dict) or body.keys() | optional != expected.keys():
        found = sorted(body) if isinstance(body, dict) else body
        raise CorruptData(
            f"{name}: found {found!r:.200}, expected an object of {', '.join(expected)}"
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in body.items()}
    for field, value in values.items():
        if not _is_a(value, expected[field]):
            raise CorruptData(f"{name}: {field} is {value!r:.80}, expected {expected[field]}")
    return kind(**values)


@cache
def _types_of(kind: Any) -> dict[str, Any]:
    """Field -> type, in their order."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _is_a(value: object, expected: Any) -> bool:
    """Whether a value is of an annotated type: a class, `X | None` or `tuple[X, ...]`."""
    if get_origin(expected) is tuple:
        item = get_args(expected)[0]
        return isinstance(value, tuple) and all(_is_a(each, item) for each in value)
    if type(value) not in (get_args(expected) or (expected,)):  # True is no whole number
        return False
    if isinstance(value, int):
        return -_LARGEST <= value <= _LARGEST
    return not isinstance(value, str) or (value.isascii() and value.isprintable())


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _canonical(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")
