"""Does a mapping go with the columns of a file?

In: the mapping and the kind of each column. Out: nothing, or a refusal that names file, column and
the line that fixes it. A value is never looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batch.mapping.grammar import (
    ALL_UNITS,
    IDS,
    SMALL_INTS,
    TIMES,
    HashOf,
    ImportMapping,
    Source,
    nearest,
)
from batch.mapping.kinds import NUMBERS, Kind, named
from impressions.core.errors import MappingError

_LISTED, _LONGEST = 40, 200  # names of columns in a message, characters of a name


def check_against(
    mapping: ImportMapping, kinds: Mapping[str, Kind], path: str, hint: str | None = None
) -> None:
    """Refuses a mapping that does not fit the columns of a file.

    Args:
        hint: what to say of a column that is not there, in place of a name that is alike.

    Raises:
        MappingError: an unknown column (with the nearest names), or a type that does not go with
            the unit.
    """
    for column in mapping.columns:
        if column not in kinds:
            raise MappingError(
                f"{path}: no column {column!r}; the columns are {_listed(kinds)}",
                hint=hint or nearest(column, kinds) or _unit_hint(column),
            )
    for target, source in mapping.sources.items():
        if isinstance(source, HashOf):
            for column in source.columns:
                _check_text(f"{path}: column {column!r} for {target}", kinds[column])
        elif kinds[source.column] != "null":
            _check_kind(mapping, target, source, kinds[source.column], path)


def _listed(names: Iterable[str]) -> str:
    """Some names for a message: not all of very many, and none that a terminal stumbles over."""
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    cut = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in names[:_LISTED]]
    return ", ".join(name if name.isprintable() else ascii(name) for name in cut) + more


def _check_kind(mapping: ImportMapping, target: str, source: Source, kind: Kind, path: str) -> None:
    where = f"{path}: column {source.column!r} for {target}"
    if target in TIMES:
        _check_time(where, target, source, kind)
    elif target in IDS:
        _check_id(where, target, source, kind)
    elif target == "location" and mapping.locations:
        if kind not in ("text", "plain", "integer"):
            raise MappingError(f"{where} is {named(kind)}, expected text: locations have names")
    elif target in SMALL_INTS:
        allowed = (*NUMBERS, "text") if source.unit == "int" else NUMBERS
        if kind not in allowed:
            hint = (
                f"--map {target}={source.column}:int if it holds digits"
                if kind == "text"
                else "use a column of whole numbers"
            )
            raise MappingError(f"{where} is {named(kind)}, expected whole numbers", hint=hint)
    elif target == "dwell_s" and kind not in (*NUMBERS, "text"):
        raise MappingError(f"{where} is {named(kind)}, expected a number")
    elif target == "played" and kind not in ("boolean", *NUMBERS, "text"):
        raise MappingError(f"{where} is {named(kind)}, expected true/false or 0/1")
    else:
        _check_text(where, kind)


def _check_time(where: str, target: str, source: Source, kind: Kind) -> None:
    flag = f"--map {target}={source.column}"
    if kind == "timestamp":
        if source.unit not in (None, "timestamp") or source.pattern is not None:
            found = f"unit {source.unit!r}" if source.unit else "a pattern"
            raise MappingError(f"{where} is a timestamp already, found {found}",
                               hint=f"{flag}:timestamp")  # fmt: skip
        return
    text = kind in ("text", "plain")
    if kind not in (*NUMBERS, "text"):
        raise MappingError(f"{where} is {named(kind)}, expected a number, ISO text or timestamp")
    hint = f"{flag}:{'iso' if text else 'ms'}"
    if source.pattern is not None:
        if not text:
            raise MappingError(f"{where} is {named(kind)}, found a pattern for text", hint=hint)
        return
    if source.unit is None:
        units = "iso, s, ms, us, ns or strptime(PATTERN)" if text else "s, ms, us or ns"
        raise MappingError(
            f"{where} is {named(kind)} without a unit: expected {units}, it is not guessed",
            hint=hint,
        )
    if source.unit == "timestamp" or (source.unit == "iso" and not text):
        raise MappingError(f"{where} is {named(kind)}, found unit {source.unit!r}", hint=hint)


def _check_id(where: str, target: str, source: Source, kind: Kind) -> None:
    if source.unit == "hash":
        if kind not in ("integer", "text", "plain"):
            raise MappingError(f"{where} is {named(kind)}, expected text to hash")
        return
    if kind == "text" and source.unit != "int":
        raise MappingError(
            f"{where} is text, expected whole numbers",
            hint=f"--map {target}={source.column}:hash for names (a 64-bit hash, see "
            f"impressions/core/ids.py), --map {target}={source.column}:int for digits",
        )
    if kind not in (*NUMBERS, "text"):
        raise MappingError(f"{where} is {named(kind)}, expected whole numbers or text")


def _check_text(where: str, kind: Kind) -> None:
    if kind == "other":
        raise MappingError(f"{where} is {named(kind)}, expected a text, number or time")


def _unit_hint(column: str) -> str | None:
    _, colon, unit = column.rpartition(":")
    return f"{unit!r} is no unit; units are {', '.join(ALL_UNITS)}" if colon else None
