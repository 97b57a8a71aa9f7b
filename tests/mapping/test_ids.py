"""Ids made of text, against the stated hash."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from batch.mapping.ids import content_id, content_ids, hashes
from batch.mapping.texts import text_of
from impressions.core.ids import LOG_BITS, PROFILE_BITS, TITLE_BITS, hash_id


@pytest.mark.parametrize("bits", [PROFILE_BITS, TITLE_BITS])
def test_the_hash_of_text(bits: int) -> None:
    """Any text, and whole numbers as their digits; an empty text names nobody."""
    pick = random.Random(7)
    texts = ["".join(pick.choices("aé漢😀 \x1f", k=pick.randrange(1, 40))) for _ in range(200)]
    assert hashes(pa.array(texts), bits).value.tolist() == [hash_id(t, bits) for t in texts]
    assert hashes(pa.array([7, -7]), bits).value.tolist() == [
        hash_id("7", bits),
        hash_id("-7", bits),
    ]
    cells = hashes(pa.array(["", None, "a"]), bits)
    assert cells.unreadable.tolist() == [True, False, False]
    assert cells.absent.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["a", None], pa.string(), ["a", None]),
        ([7, None], pa.int32(), ["7", None]),
        ([2**64 - 1], pa.uint64(), [str(2**64 - 1)]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([1.5, 1e16, 0.1, float("nan")], pa.float64(), ["1.5", "1e+16", "0.1", "nan"]),
        ([0.1], pa.float32(), ["0.1"]),
        ([Decimal("1.50"), Decimal("1E+3")], pa.decimal128(10, 2), ["1.50", "1000.00"]),
        ([dt.date(2026, 1, 2)], pa.date32(), ["2026-01-02"]),
        ([0, 1_500, None], pa.timestamp("ms"),
         ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.5Z", None]),
        ([1], pa.timestamp("ns", "Asia/Tokyo"), ["1970-01-01T00:00:00.000000001Z"]),
        ([1], pa.timestamp("s"), ["1970-01-01T00:00:01Z"]),
    ],
)  # fmt: skip
def test_values_as_text(values: list[Any], type_: pa.DataType, expected: list[Any]) -> None:
    """One stated form for each type."""
    assert text_of(pa.array(values, type_)).to_pylist() == expected


def test_the_hash_of_several_columns_keeps_them_apart() -> None:
    """A null is no empty text, ("ab", "") is not ("a", "b"), and no id is 0."""
    rows = [("ab", "", 1), ("a", "b", 1), ("ab", None, 1), (None, "ab", 1), ("ab", "", None)]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    found = content_ids(columns).tolist()
    texts = ["".join(f"{chr(0) if v is None else v}\x1f" for v in row) for row in rows]
    assert found == [hash_id(text, LOG_BITS) for text in texts]
    assert len(set(found)) == len(rows)
    assert [content_id(row) for row in rows] == found
    assert np.all(content_ids([pa.nulls(2)]) > 0)
