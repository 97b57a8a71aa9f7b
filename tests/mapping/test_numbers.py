"""Numbers: what is one, what is none, and that the fast way and the slow way agree."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.mapping.cells import seconds, whole_numbers, yes_or_no

TOP = 2**63


def whole(values: list[Any], type_: pa.DataType | None = None) -> list[int | str | None]:
    """Each value, None where absent, "?" where unreadable."""
    cells = whole_numbers(pa.array(values, type_))
    found = zip(cells.value.tolist(), cells.absent, cells.unreadable, strict=True)
    return [None if absent else "?" if bad else value for value, absent, bad in found]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("-17", -17), ("+17", 17), ("007", 7), (" 5\t", 5), ("17850.0", 17850),
        ("-3.00", -3), (str(TOP - 1), TOP - 1), (str(-TOP), -TOP),
        (str(TOP), "?"), ("9" * 500, "?"),
        ("", "?"), (" ", "?"), ("1d", "?"), ("1_000", "?"), ("0x10", "?"), ("0X10", "?"),
        ("1e3", "?"), ("1.5", "?"), ("17850.", "?"), (".0", "?"), ("1,000", "?"), ("１７", "?"),
        ("٣", "?"), ("nan", "?"), ("--1", "?"), ("1 2", "?"), ("NULL", "?"), ("\\N", "?"),
    ],
)  # fmt: skip
def test_a_whole_number_in_text(text: str, number: int | str) -> None:
    """Alone in its column, and beside values that change the way the column is read."""
    assert whole([text]) == [number]
    assert whole([text, "1", None, "x", "2.0"]) == [number, 1, None, "?", 2]


@given(st.lists(st.one_of(st.none(), st.text("0123456789+-.xXe _１", max_size=6)), max_size=8))
def test_a_value_is_read_the_same_whatever_stands_beside_it(texts: list[str | None]) -> None:
    """A column is not its values' fate."""
    assert whole(texts, pa.string()) == [whole([text], pa.string())[0] for text in texts]


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1, None, -1], pa.int8(), [1, None, -1]),
        ([TOP - 1, TOP, 2 * TOP - 1, None], pa.uint64(), [TOP - 1, "?", "?", None]),
        ([17850.0, 2.0**53, 2.0**53 + 2, 0.5, None], pa.float64(), [17850, 2**53, "?", "?", None]),
        ([math.nan, math.inf, -math.inf, -0.0], pa.float64(), ["?", "?", "?", 0]),
        ([1.0, 1.5], pa.float32(), [1, "?"]),
        ([Decimal("5.00"), Decimal("5.01"), None], pa.decimal128(10, 2), [5, "?", None]),
        ([Decimal(TOP), Decimal(TOP - 1)], pa.decimal128(20, 0), ["?", TOP - 1]),
        ([Decimal(10) ** 60], pa.decimal256(70, 0), ["?"]),
        ([], pa.string(), []),
    ],
)  # fmt: skip
def test_a_whole_number_of_a_type(values: list[Any], type_: pa.DataType, expected: Any) -> None:
    """Fractions, and what a double or 64 bits cannot hold, are unreadable row by row."""
    assert whole(values, type_) == expected


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (["1.5", " 2 ", "+3", ".5", "5.", "1e3", None], "s", [1.5, 2, 3, 0.5, 5, 1000, 0]),
        (["1500", None], "ms", [1.5, 0]),
        (["1d", "1_0", "0x1", "1,5", "", "１", "9" * 500], "s", [math.nan] * 7),
        ([250, None], "ms", [0.25, 0]),
        ([Decimal("1.25")], "s", [1.25]),
        ([math.nan, math.inf], "s", [math.nan, math.inf]),
        (["nan", "inf", "-Infinity"], "s", [math.nan, math.inf, -math.inf]),
    ],
)
def test_seconds(values: list[Any], unit: str, expected: list[float]) -> None:
    """Absent is 0, unreadable NaN, which the rule of validity rejects."""
    found = seconds(pa.array(values), unit).tolist()
    assert [repr(x) for x in found] == [repr(float(x)) for x in expected]


def test_yes_or_no() -> None:
    """True and false by word, 1 and 0 as any number; another value is unreadable."""
    for values, expected in (
        (["True", "FALSE", " 1 ", "0", "1.0", "yes", "2", None], [1, 0, 1, 0, 1, "?", "?", None]),
        ([True, False, None], [1, 0, None]),
        ([1, 0, 2], [1, 0, "?"]),
        ([1.0, 0.5, math.nan], [1, "?", "?"]),
    ):
        cells = yes_or_no(pa.array(values))
        found = zip(cells.value.tolist(), cells.absent, cells.unreadable, strict=True)
        assert [None if a else "?" if bad else v for v, a, bad in found] == expected
