"""What a file of events does not say about itself, and a user does.

In: the words of flags or of a mapping file. Out: a `Reading`, each word checked before any file of
events is opened.
"""

from __future__ import annotations

import codecs
import re
import zoneinfo
from dataclasses import dataclass

from impressions.core.errors import MappingError
from impressions.core.item import MAX_LOCATION


@dataclass(frozen=True)
class Reading:
    """What a text file does not say about itself; None: as its name or the default says.

    Attributes:
        separator: one ASCII character between fields.
        encoding: a codec of Python's; None is UTF-8.
        header: whether the first line names the columns; else they are called 1, 2, ...
        timezone: of times that state none; None is UTC.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool = True
    timezone: str | None = None


def stated(
    separator: str | None, encoding: str | None, header: bool | None, timezone: str | None
) -> Reading:
    """What the words mean; None where nothing is said. Raises MappingError."""
    return Reading(
        _separator(separator), _encoding(encoding), header is not False, _timezone(timezone)
    )


def location(text: str) -> tuple[str, int]:
    """`home=1` as (text, location). Raises MappingError."""
    name, equals, number = text.rpartition("=")
    if not equals or not re.fullmatch(r"[0-9]{1,3}", number) or int(number) > MAX_LOCATION:
        raise MappingError(
            f"location {text!r}: expected TEXT=NUMBER with a number from 0 to {MAX_LOCATION}",
            hint="--location home=1",
        )
    return name, int(number)


def _separator(text: str | None) -> str | None:
    if text is None:
        return None
    character = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(character) != 1 or not character.isascii() or character in '"\r\n\0':
        raise MappingError(
            f"separator {text!r}: expected one character such as ; or | or the word tab"
        )
    return character


def _encoding(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        codec = codecs.lookup(name)
        "".encode(name)
    except (LookupError, UnicodeError, ValueError):
        codec = None
    if codec is None or codec.incrementaldecoder is None:
        raise MappingError(
            f"encoding {name!r}: expected a name such as utf-8, latin-1, cp1252 or utf-16"
        )
    return None if codec.name == "utf-8" else codec.name


def _timezone(name: str | None) -> str | None:
    if name is None or name in ("UTC", "Z"):
        return None
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise MappingError(
            f"timezone {name!r}: not known on this machine",
            hint="a name such as Europe/Berlin; where none is known: pip install tzdata",
        ) from None
    return name
