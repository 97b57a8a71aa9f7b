"""Which column of a file becomes which column of raw: what can be said, and what it means.

    --map profile_id=user_id --map event_time=time_ms:ms --map dwell_s=play_ms:ms
    --map 'log_id=hash(user_id,session,sent_at)' --ingest-time event

or a file (batch/mapping/toml.py); flags win over it. What stands after the colon is stated, never
guessed:

    times        s ms us ns (numbers since 1970), iso (text), timestamp (the file's own type),
                 strptime(PATTERN) (text, with Python's directives)
    ids          int (the default of an integer), hash (impressions/core/ids.py: any text)
    dwell_s      s (the default: the name says so), ms, us, ns
    the others   int where a text column of a Parquet file holds whole numbers

Text of a CSV is read as a whole number where one is wanted, and a value that is none is rejected
row by row. `hash(a,b,...)` is for device flushes without an id: the same values, the same flush. A
location may be a text of a small dictionary (`--location home=1`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch.mapping import toml
from batch.mapping.options import Reading, location, stated
from impressions.core.errors import MappingError

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
ALL_UNITS = sorted({unit for units in UNITS_OF.values() for unit in units})

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
_YEARS, _DAYS = ("%Y", "%y", "%G", "%c", "%x"), ("%d", "%j", "%u", "%w", "%a", "%A", "%c", "%x")


@dataclass(frozen=True)
class Source:
    """One column of the file, and its unit or rule where one was stated.

    `pattern`: of a time that `strptime` reads; the unit is None then.
    """

    column: str
    unit: str | None = None
    pattern: str | None = None

    def __str__(self) -> str:
        if self.pattern is not None:
            return f"{self.column}:strptime({self.pattern})"
        return f"{self.column}:{self.unit}" if self.unit else self.column


@dataclass(frozen=True)
class HashOf:
    """A log_id made of several columns (batch/mapping/ids.py)."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"hash({','.join(self.columns)})"


@dataclass(frozen=True)
class ImportMapping:
    """A complete mapping. `ingest_is_event`: the files have no ingest time, event time stands in.

    `locations`: text of the location column -> location; empty where it holds numbers.
    """

    sources: Mapping[str, Source | HashOf]
    ingest_is_event: bool
    reading: Reading = field(default_factory=Reading)
    locations: Mapping[str, int] = field(default_factory=dict)

    def __contains__(self, target: str) -> bool:
        return target in self.sources

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read, each once."""
        read: dict[str, None] = {}
        for source in self.sources.values():
            names = source.columns if isinstance(source, HashOf) else (source.column,)
            read.update(dict.fromkeys(names))
        return tuple(read)

    @property
    def defaults(self) -> dict[str, str]:
        """Target -> what stands in for it."""
        return {t: text for t, text in DEFAULTS.items() if t not in self.sources}

    def as_dict(self) -> dict[str, str]:
        texts = {target: str(source) for target, source in self.sources.items()}
        return texts | ({"ingest_time": "event time"} if self.ingest_is_event else {})


def read_mapping(
    flags: Sequence[str],
    file: Path | None = None,
    ingest_time: str | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    timezone: str | None = None,
    locations: Sequence[str] = (),
) -> ImportMapping:
    """The mapping of `--map` flags, `--mapping` file, `--ingest-time` and what else is stated.

    Raises:
        MappingError: what cannot be meant, before any file of events is opened.
    """
    said = toml.read(file) if file else toml.Said()
    texts = dict(said.columns) | dict(_split(flag) for flag in flags)
    ingest_time = ingest_time or said.ingest_time
    if ingest_time not in (None, "event"):
        raise MappingError(
            f"ingest time {ingest_time!r}: expected the word event",
            hint=f"for a column: --map ingest_time={ingest_time}:ms",
        )
    reading = stated(
        separator or said.separator,
        encoding or said.encoding,
        said.header if header is None else header,
        timezone or said.timezone,
    )
    mapping = ImportMapping(
        {target: _source(target, text) for target, text in texts.items()},
        ingest_is_event=ingest_time == "event",
        reading=reading,
        locations=dict(said.locations) | dict(location(text) for text in locations),
    )
    _check_complete(mapping)
    return mapping


def nearest(name: str, names: Iterable[str]) -> str | None:
    """A hint that names what is spelled alike; None where nothing is."""
    known = [known for known in names if known.isprintable()]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else None


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
            hint=nearest(target, TARGETS),
        )
    if hashed := re.fullmatch(r"hash\((.*)\)", text):
        columns = tuple(part.strip() for part in hashed[1].split(","))
        if target != "log_id" or not all(columns):
            raise MappingError(
                f"{target}={text}: hash(a,b,...) makes a log_id of one or more columns",
                hint=f"one text column as an id: --map {target}=COLUMN:hash",
            )
        return HashOf(columns)
    if hashed := re.fullmatch(r"(.+):strptime\((.*)\)", text, re.DOTALL):
        return _pattern(target, hashed[1], hashed[2])
    column, colon, unit = text.rpartition(":")
    if not colon or not column or unit not in ALL_UNITS:  # a colon may be part of the name
        return Source(text)
    if unit not in UNITS_OF[target]:
        expected = ", ".join(UNITS_OF[target]) or "no unit"
        raise MappingError(f"{target}={text}: unit {unit!r}, expected {expected}")
    return Source(column, unit)


def _pattern(target: str, column: str, pattern: str) -> Source:
    if target not in TIMES:
        raise MappingError(f"{target}={column}:strptime(...): expected it for a time only")
    if not any(d in pattern for d in _YEARS) or not any(d in pattern for d in _DAYS):
        raise MappingError(
            f"{target}={column}:strptime({pattern}): expected a complete date in the pattern",
            hint=f"--map '{target}={column}:strptime(%d.%m.%Y %H:%M:%S)'",
        )
    return Source(column, None, pattern)


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
    if mapping.locations and "location" not in mapping:
        raise MappingError(
            "locations have names, but no column is mapped to location",
            hint="add --map location=COLUMN",
        )
