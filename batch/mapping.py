"""Which column of a file becomes which column of raw: read from flags and TOML, checked, no Spark.

    --map profile_id=user_id --map event_time=time_ms:ms --map dwell_s=play_ms:ms
    --map 'log_id=hash(user_id,session,sent_at)' --ingest-time event

    ingest_time = "event"              # the same as a file; flags win over it
    [columns]
    profile_id = "user_id"
    event_time = "time_ms:ms"

What stands behind the colon is stated, never guessed:

    times        s ms us ns (numbers since 1970), iso (text), timestamp (the file's own type)
    ids          int (the default of an integer), hash (impressions/ids.py: any text)
    dwell_s      s (the default: the name says so), ms, us, ns
    the others   int where a text column of a Parquet file holds whole numbers

A CSV column is text; text of a CSV is read as a whole number where one is wanted, and a value that
is none is rejected row by row. `hash(a,b,...)` is for logs without an id: the same values, the same
log.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impressions.errors import MappingError

Kind = Literal[
    "integer", "floating", "decimal", "text", "csv_text", "boolean", "timestamp", "timestamp_ns",
    "other",
]  # fmt: skip

TIMES = ("event_time", "ingest_time")
IDS = ("profile_id", "title_id", "log_id")
SMALL_INTS = ("location", "row", "position")
TEXTS = ("device_type", "app_version")
TARGETS = ("profile_id", "title_id", "event_time", "ingest_time", "log_id", *SMALL_INTS, "played",
           "dwell_s", *TEXTS)  # fmt: skip
REQUIRED = ("profile_id", "title_id", "event_time")

EPOCH_UNITS = ("s", "ms", "us", "ns")
UNITS_OF = {
    **dict.fromkeys(TIMES, (*EPOCH_UNITS, "iso", "timestamp")),
    **dict.fromkeys(IDS, ("int", "hash")),
    **dict.fromkeys(SMALL_INTS, ("int",)),
    "played": (),
    "dwell_s": EPOCH_UNITS,
    **dict.fromkeys(TEXTS, ()),
}
_ALL_UNITS = {unit for units in UNITS_OF.values() for unit in units}
_NUMBERS = ("integer", "floating", "decimal", "csv_text")

DEFAULTS = {
    "location": "0",
    "row": "null",
    "position": "null",
    "played": "false, so no plays",
    "dwell_s": "0",
    "log_id": "none: each row is its own log, nothing is a duplicate",
    "device_type": "null",
    "app_version": "null",
}
"""What stands in for an optional column that is not mapped; printed at every import."""

_EXAMPLE = "impressions land --from-files FILE --map profile_id=user_id --map event_time=time:ms"


@dataclass(frozen=True)
class Source:
    """One column of the file, and its unit or rule where one was stated."""

    column: str
    unit: str | None = None

    def __str__(self) -> str:
        return f"{self.column}:{self.unit}" if self.unit else self.column


@dataclass(frozen=True)
class HashOf:
    """A log id made of several columns (batch/ids.py)."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"hash({','.join(self.columns)})"


@dataclass(frozen=True)
class ImportMapping:
    """A whole mapping. `ingest_is_event`: the files have no ingest time, event time stands in."""

    sources: Mapping[str, Source | HashOf]
    ingest_is_event: bool

    def __contains__(self, target: str) -> bool:
        return target in self.sources

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read, each once."""
        found: dict[str, None] = {}
        for source in self.sources.values():
            names = source.columns if isinstance(source, HashOf) else (source.column,)
            found.update(dict.fromkeys(names))
        return tuple(found)

    @property
    def defaults(self) -> dict[str, str]:
        """Target -> what stands in for it."""
        return {t: text for t, text in DEFAULTS.items() if t not in self.sources}

    def as_dict(self) -> dict[str, str]:
        texts = {target: str(source) for target, source in self.sources.items()}
        return texts | ({"ingest_time": "event time"} if self.ingest_is_event else {})


def read_mapping(
    flags: Sequence[str], file: Path | None = None, ingest_time: str | None = None
) -> ImportMapping:
    """The mapping of `--map` flags, `--mapping` file and `--ingest-time`.

    Raises:
        MappingError: what cannot be meant, before any file of events is opened.
    """
    texts, file_ingest = _read_file(file) if file else ({}, None)
    texts |= dict(_split(flag) for flag in flags)
    ingest_time = ingest_time or file_ingest
    if ingest_time not in (None, "event"):
        raise MappingError(
            f"ingest time {ingest_time!r}: expected the word event",
            hint=f"for a column: --map ingest_time={ingest_time}:ms",
        )
    sources = {target: _source(target, text) for target, text in texts.items()}
    mapping = ImportMapping(sources, ingest_is_event=ingest_time == "event")
    _check_complete(mapping)
    return mapping


def check_against(mapping: ImportMapping, kinds: Mapping[str, Kind], path: str) -> None:
    """Refuses a mapping that does not fit the columns of a file.

    Raises:
        MappingError: an unknown column (with the nearest names), or a type that does not go with
            the unit.
    """
    for column in mapping.columns:
        if column not in kinds:
            raise MappingError(
                f"{path}: no column {column!r}; the columns are {', '.join(kinds)}",
                hint=_nearest(column, kinds) or _unit_hint(column),
            )
    for target, source in mapping.sources.items():
        if isinstance(source, Source):
            _check_kind(target, source, kinds[source.column], path)


def _read_file(path: Path) -> tuple[dict[str, str], str | None]:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MappingError(f"mapping file {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number too long to read
        raise MappingError(f"mapping file {path} is not TOML: {error}") from None
    columns, ingest = content.pop("columns", {}), content.pop("ingest_time", None)
    if content or not isinstance(columns, dict):
        raise MappingError(
            f"mapping file {path}: found {', '.join(content) or 'columns'}, expected "
            'ingest_time = "event" and a table [columns]'
        )
    for target, text in columns.items():
        if not isinstance(text, str):
            raise MappingError(
                f'mapping file {path}: {target} is {text!r}, expected a text "column:unit"'
            )
    return columns, ingest


def _split(flag: str) -> tuple[str, str]:
    target, equals, text = flag.partition("=")
    if not equals or not target.strip() or not text.strip():
        raise MappingError(
            f"--map {flag!r}: expected TARGET=COLUMN or TARGET=COLUMN:UNIT", hint=_EXAMPLE
        )
    return target.strip(), text.strip()


def _source(target: str, text: str) -> Source | HashOf:
    if target not in TARGETS:
        raise MappingError(
            f"there is no {target!r} to map to; expected one of {', '.join(TARGETS)}",
            hint=_nearest(target, TARGETS),
        )
    if found := re.fullmatch(r"hash\((.*)\)", text):
        columns = tuple(part.strip() for part in found[1].split(","))
        if target != "log_id" or not all(columns):
            raise MappingError(
                f"{target}={text}: hash(a,b,...) makes a log_id of one or more columns",
                hint=f"one text column as an id: --map {target}=COLUMN:hash",
            )
        return HashOf(columns)
    column, colon, unit = text.rpartition(":")
    if not colon or unit not in _ALL_UNITS:  # a colon may be part of the column's name
        return Source(text)
    if unit not in UNITS_OF[target]:
        expected = ", ".join(UNITS_OF[target]) or "no unit"
        raise MappingError(f"{target}={text}: unit {unit!r}, expected {expected}")
    return Source(column, unit)


def _check_complete(mapping: ImportMapping) -> None:
    missing = [target for target in REQUIRED if target not in mapping]
    if missing:
        raise MappingError(
            f"the mapping says nothing about {', '.join(missing)}",
            hint=f"add --map {missing[0]}=COLUMN" + (":ms" if missing[0] in TIMES else ""),
        )
    if mapping.ingest_is_event == ("ingest_time" in mapping):
        found = "both a column and the event time" if mapping.ingest_is_event else "nothing"
        raise MappingError(
            f"ingest time: found {found}, expected one of the two",
            hint="the column that says when the row arrived: --map ingest_time=COLUMN:ms; "
            "where there is none: --ingest-time event",
        )


def _check_kind(target: str, source: Source, kind: Kind, path: str) -> None:
    where = f"{path}: column {source.column!r} for {target}"
    if target in TIMES:
        _check_time(where, target, source, kind)
    elif target in IDS:
        _check_id(where, target, source, kind)
    elif target in SMALL_INTS:
        allowed = (*_NUMBERS, "text") if source.unit == "int" else _NUMBERS
        if kind not in allowed:
            hint = (
                f"--map {target}={source.column}:int if it holds digits"
                if "text" in kind
                else ("use a column of whole numbers")
            )
            raise MappingError(f"{where} is {_named(kind)}, expected whole numbers", hint=hint)
    elif target == "dwell_s" and kind not in (*_NUMBERS, "text"):
        raise MappingError(f"{where} is {_named(kind)}, expected a number")
    elif target == "played" and kind not in ("boolean", *_NUMBERS, "text"):
        raise MappingError(f"{where} is {_named(kind)}, expected true/false or 0/1")


def _check_time(where: str, target: str, source: Source, kind: Kind) -> None:
    if kind in ("timestamp", "timestamp_ns"):
        if source.unit not in (None, "timestamp"):
            raise MappingError(
                f"{where} is a timestamp already, found unit {source.unit!r}",
                hint=f"--map {target}={source.column}:timestamp",
            )
        return
    text = kind in ("text", "csv_text")
    if kind not in (*_NUMBERS, "text"):
        raise MappingError(f"{where} is {_named(kind)}, expected a number, ISO text or timestamp")
    if source.unit is None:
        units = "iso, s, ms, us or ns" if text else "s, ms, us or ns"
        raise MappingError(
            f"{where} is {_named(kind)} without a unit: expected {units}, it is not guessed",
            hint=f"--map {target}={source.column}:{'iso' if text else 'ms'}",
        )
    if source.unit == "timestamp" or (source.unit == "iso" and not text):
        raise MappingError(
            f"{where} is {_named(kind)}, found unit {source.unit!r}",
            hint=f"--map {target}={source.column}:{'iso' if text else 'ms'}",
        )


def _check_id(where: str, target: str, source: Source, kind: Kind) -> None:
    if source.unit == "hash":
        if kind not in ("integer", "text", "csv_text"):
            raise MappingError(f"{where} is {_named(kind)}, expected text to hash")
        return
    if kind == "floating":
        raise MappingError(
            f"{where} is floating-point, expected whole numbers: above 2^53 ids would be mangled",
            hint="write the column as a 64-bit integer, or as text",
        )
    if kind == "text" and source.unit != "int":
        raise MappingError(
            f"{where} is text, expected whole numbers",
            hint=f"--map {target}={source.column}:hash for names (a 64-bit hash, see "
            f"impressions/ids.py), --map {target}={source.column}:int for digits",
        )
    if kind not in ("integer", "decimal", "text", "csv_text"):
        raise MappingError(f"{where} is {_named(kind)}, expected whole numbers or text")


def _nearest(name: str, names: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else None


def _unit_hint(column: str) -> str | None:
    _, colon, unit = column.rpartition(":")
    return f"{unit!r} is no unit; units are {', '.join(sorted(_ALL_UNITS))}" if colon else None


def _named(kind: Kind) -> str:
    return {
        "csv_text": "CSV text",
        "integer": "an integer",
        "floating": "floating-point",
        "boolean": "true/false",
        "timestamp_ns": "a timestamp",
        "timestamp": "a timestamp",
        "other": "of a type that is not read",
    }.get(kind, kind)
