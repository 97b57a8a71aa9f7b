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
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from impressions.core.errors import MappingError
from impressions.core.item import MAX_LOCATION


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Said:
    """The words of a file; None or empty where it says nothing."""

    columns: Mapping[str, str] = field(default_factory=dict)
    locations: Mapping[str, Annotated[int, Field(ge=0, le=MAX_LOCATION)]] = field(
        default_factory=dict
    )
    ingest_time: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    timezone: str | None = None


def read(path: Path) -> Said:
    """Raises MappingError: no such file, no TOML, an unknown word, a value of another type."""
    try:
        return Said(**tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise MappingError(f"mapping file {path}: {error.strerror}") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(map(str, wrong["loc"]))
        known = ", ".join(one.name for one in fields(Said))
        what = wrong["msg"].replace("Unexpected keyword argument", f"one of {known}")
        if wrong["loc"][0] == "columns":
            what = 'texts "column:unit" in a table [columns]'
        raise MappingError(
            f"mapping file {path}: found {name} = {wrong['input']!r}, "
            f"expected {what.removeprefix('Input should be ')}"
        ) from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number too long to read
        raise MappingError(f"mapping file {path} is not TOML: {error}") from None
