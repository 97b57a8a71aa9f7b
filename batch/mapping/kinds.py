"""What a column of a file holds, as far as a mapping minds.

A kind is one of

    integer floating decimal boolean    numbers and truth
    text                                strings, categories, binary that claims to be text, UUIDs
    plain                               text of a CSV or of JSON lines: may stand for anything
    timestamp                           timestamps and dates: the type says the unit
    null                                a column without any value: fits everywhere
    other                               lists, structs, times of day: not read
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal[
    "integer", "floating", "decimal", "text", "plain", "boolean", "timestamp", "null", "other"
]

NUMBERS: tuple[Kind, ...] = ("integer", "floating", "decimal", "plain")

_NAMES: dict[Kind, str] = {
    "plain": "text of a CSV or JSON line",
    "integer": "an integer",
    "floating": "floating-point",
    "boolean": "true/false",
    "timestamp": "a timestamp",
    "null": "empty",
    "other": "of a type that is not read",
}


def kind_of(type_: pa.DataType) -> Kind:
    """The kind of an Arrow type."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(type_):
        return kind_of(type_.value_type)
    if type_ == pa.uuid():
        return "text"
    if isinstance(type_, pa.BaseExtensionType):
        return kind_of(type_.storage_type)
    tests: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
        (is_.is_integer, "integer"),
        (is_.is_floating, "floating"),
        (is_.is_decimal, "decimal"),
        (is_.is_boolean, "boolean"),
        (is_.is_timestamp, "timestamp"),
        (is_.is_date, "timestamp"),
        (is_.is_null, "null"),
        (is_text, "text"),
    )
    return next((kind for test, kind in tests if test(type_)), "other")


def is_text(type_: pa.DataType) -> bool:
    """Strings and binary of every layout."""
    import pyarrow as pa

    is_ = pa.types
    return any(
        test(type_)
        for test in (
            is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_binary,
            is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary,
        )
    )  # fmt: skip


def named(kind: Kind) -> str:
    """The kind for people: `is text`, `is a timestamp`."""
    return _NAMES.get(kind, kind)
