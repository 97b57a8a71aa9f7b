"""The mapping as a file.

    ingest_time = "event"          # only where the files do not say when a row arrived
    separator = ";"                # of a CSV; else , or, in a file called .tsv, a tab
    encoding = "latin-1"           # of a text file; else utf-8
    header = false                 # the columns have no names: they are "1", "2", ...
    timezone = "Europe/Berlin"     # of times that state none; else UTC

    [columns]
    profile_id = "user_id"
    event_time = "seen_at:iso"

    [locations]                    # where the location column holds text
    home = 1

In: a path. Out: what it says, each word of the right type; what the words mean is decided where
those of the flags are (batch/mapping/grammar.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impressions.core.errors import MappingError
from impressions.core.item import MAX_LOCATION

_TYPES: dict[str, type] = {
    "ingest_time": str, "separator": str, "encoding": str, "timezone": str, "header": bool,
    "columns": dict, "locations": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """The words of a file; None or empty where it says nothing."""

    columns: Mapping[str, str] = field(default_factory=dict)
    locations: Mapping[str, int] = field(default_factory=dict)
    ingest_time: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    timezone: str | None = None


def read(path: Path) -> Said:
    """Raises MappingError: no such file, no TOML, an unknown word, a value of another type."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MappingError(f"mapping file {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number too long to read
        raise MappingError(f"mapping file {path} is not TOML: {error}") from None
    for key, value in content.items():
        expected = _TYPES.get(key)
        if expected is None or not isinstance(value, expected):
            found = f"{key} = {value!r}" if expected else key
            raise MappingError(
                f"mapping file {path}: found {found}, expected "
                'ingest_time = "event", separator, encoding, timezone (texts), header (true or '
                "false) and the tables [columns] and [locations]"
            )
    for target, text in content.get("columns", {}).items():
        if not isinstance(text, str):
            raise MappingError(
                f'mapping file {path}: {target} is {text!r}, expected a text "column:unit"'
            )
    for name, number in content.get("locations", {}).items():
        if type(number) is not int or not 0 <= number <= MAX_LOCATION:
            raise MappingError(
                f"mapping file {path}: location {name!r} is {number!r}, expected a number from 0 "
                f"to {MAX_LOCATION}"
            )
    return Said(**content)
