"""Times: every way to write one, floored to the millisecond, saturated, in its zone."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.mapping.grammar import Source
from batch.mapping.times import times_ms

SAFE_MS = 2**60
T = 1_762_000_000_000  # 2025-11-01T12:26:40Z


def read(
    values: list[Any], unit: str | None, type_: pa.DataType | None = None, zone: str | None = None,
    pattern: str | None = None,
) -> list[int | str | None]:  # fmt: skip
    """Each time, None where absent, "?" where unreadable."""
    cells = times_ms(pa.array(values, type_), Source("at", unit, pattern), zone)
    found = zip(cells.value.tolist(), cells.absent, cells.unreadable, strict=True)
    return [None if absent else "?" if bad else value for value, absent, bad in found]


@pytest.mark.parametrize(
    ("values", "unit", "type_", "expected"),
    [
        ([1, -1, None], "s", pa.int64(), [1000, -1000, None]),
        ([1999, -1], "us", pa.int64(), [1, -1]),
        ([1_999_999, -1], "ns", pa.int64(), [1, -1]),
        ([2**63 - 1, -(2**63)], "ms", pa.int64(), [SAFE_MS, -SAFE_MS]),
        ([2**63 - 1, -(2**63)], "s", pa.int64(), [SAFE_MS // 1000 * 1000, -SAFE_MS // 1000 * 1000]),
        ([2**64 - 1, 5], "ms", pa.uint64(), [SAFE_MS, 5]),
        ([1_650_000_000.123, -0.0001], "s", pa.float64(), [1_650_000_000_123, -1]),
        ([math.nan, math.inf, 1e300, -1e300], "ms", pa.float64(), ["?", "?", SAFE_MS, -SAFE_MS]),
        ([Decimal("1650000000.1239")], "s", pa.decimal128(20, 4), [1_650_000_000_123]),
        (["1650000000.1239", "1.65e9", "12", "soon", "", None, "1_0", "１"], "s", None,
         [1_650_000_000_123, 1_650_000_000_000, 12_000, "?", "?", None, "?", "?"]),
        (["9" * 300, "-1e999999999", "1e-999999999", "-1e-999999999"], "ms", None,
         [SAFE_MS, -SAFE_MS, 0, -1]),
    ],
)  # fmt: skip
def test_numbers_since_1970(
    values: list[Any], unit: str, type_: pa.DataType | None, expected: list[Any]
) -> None:
    """In the stated unit, by type and in text."""
    assert read(values, unit, type_) == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_every_unit(unit: str) -> None:
    """The type says the unit; a zone of the type is how it is shown, not what it is."""
    per_ms = {"s": 0.001, "ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    for zone in (None, "UTC", "Asia/Tokyo"):
        type_ = pa.timestamp(unit, zone)
        assert read([int(T * per_ms), None], None, type_) == [T, None]
    naive = pa.timestamp(unit)
    assert read([int(T * per_ms)], None, naive, zone="Europe/Berlin") == [T - 3_600_000]


def test_timestamps_far_away_do_not_wrap() -> None:
    """A second of 64 bits is no millisecond of 64 bits."""
    assert read([2**62], None, pa.timestamp("s")) == [SAFE_MS // 1000 * 1000]
    assert read([2**62], None, pa.timestamp("ms"), zone="Europe/Berlin") == [SAFE_MS]


def test_dates_are_midnights() -> None:
    """Of UTC, or of the mapping's zone."""
    day = dt.date(2026, 6, 15)
    midnight = 1_781_481_600_000
    assert read([day, None], None, pa.date32()) == [midnight, None]
    assert read([day], None, pa.date64()) == [midnight]
    assert read([day], None, pa.date32(), zone="Europe/Berlin") == [midnight - 7_200_000]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-01", T - T % 86_400_000), ("2025-11-01T12:26", T - 40_000),
        ("2025-11-01 12:26:40", T), ("2025-11-01T12:26:40Z", T), ("2025-11-01 12:26:40.5", T + 500),
        ("2025-11-01T12:26:40.1239Z", T + 123), ("2025-11-01T12:26:40.123456789+00:00", T + 123),
        ("2025-11-01T13:26:40+01:00", T), ("2025-11-01 13:26:40+01", T),
        ("2025-11-01T06:56:40-0530", T), ("2025-11-01 12:26:40 UTC", T),
        (" 2025-11-01 ", T - T % 86_400_000),
        ("1969-12-31T23:59:59.9999Z", -1), ("0001-01-01", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999), ("2024-02-29", 1_709_164_800_000),
        ("2023-02-29", "?"), ("2100-02-29", "?"), ("2025-13-01", "?"), ("2025-00-01", "?"),
        ("2025-11-31", "?"), ("0000-01-01", "?"), ("2025-11-01T24:00", "?"),
        ("2025-11-01T12:60", "?"), ("2025-11-01T12:00:60", "?"), ("12:26:40", "?"),
        ("2025-11-01T12", "?"), ("2025-11-1", "?"), ("2025-W44-6", "?"), ("20251101", "?"),
        ("2025-11-01T12:26:40+1", "?"), ("2025-11-01T12:26:40+25:00", "?"), ("2025-11-01Z", "?"),
        ("2025-11-01T12:26:40 CET", "?"), ("today", "?"), ("", "?"), ("２０２５-11-01", "?"),
        ("2025-11-01T12:26:40" + "0" * 2000, "?"),
    ],
)  # fmt: skip
def test_iso(text: str, expected: int | str) -> None:
    """A date is required; the same alone and among others."""
    assert read([text], "iso") == [expected]
    others = ["2025-11-01T12:26:40Z", None, "soon", "2025-11-01"]
    assert read([text, *others], "iso") == [expected, T, None, "?", T - T % 86_400_000]


@given(
    st.lists(
        st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)), min_size=1, max_size=20
    ),
    st.sampled_from(["", "Z", "+05:30", "-08"]),
    st.sampled_from(["T", " "]),
)
def test_iso_is_what_the_standard_library_reads(
    moments: list[dt.datetime], zone: str, middle: str
) -> None:
    """Forms mixed within a column."""
    texts = [moment.isoformat(middle) + zone for moment in moments]
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    expected = [
        (dt.datetime.fromisoformat(t if zone else t + "Z") - epoch) // dt.timedelta(milliseconds=1)
        for t in texts
    ]
    assert read(texts, "iso") == expected


def test_many_forms_in_one_column() -> None:
    """Those beyond the common ones are read one by one, and the same."""
    signs = ["2025-11-01" + sign + "x" for sign in "abcdefghijkl"]
    assert read([*signs, "2025-11-01 x", "2025-11-01"], "iso") == ["?"] * 13 + [T - T % 86_400_000]
    slices = pa.array(["drop", "2025-11-01T12:26:40Z", None, "2025-11-01"]).slice(1)
    assert times_ms(slices, Source("at", "iso"), None).value[0] == T


def test_a_pattern() -> None:
    """Python's directives; text with a zone has it, other text the mapping's."""
    pattern = "%d.%m.%Y %H:%M:%S"
    texts = [
        "01.11.2025 12:26:40",
        " 01.11.2025 12:26:40 ",
        "1.11.25 12:26:40",
        None,
        "０1.11.2025 00:00:00",
    ]
    assert read(texts, None, None, pattern=pattern) == [T, T, "?", None, "?"]
    assert read(texts[:1], None, pattern=pattern, zone="Europe/Berlin") == [T - 3_600_000]
    aware = "01/Nov/2025:13:26:40 +0100"
    assert read([aware], None, pattern="%d/%b/%Y:%H:%M:%S %z", zone="Asia/Tokyo") == [T]


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-10-26 02:30:00", "2025-10-26 00:30:00"),  # comes twice: the first
        ("2025-10-26 03:00:00", "2025-10-26 02:00:00"),
        ("2025-03-30 01:59:59", "2025-03-30 00:59:59"),
        ("2025-03-30 02:30:00", "2025-03-30 01:30:00"),  # does not exist: as if not set forward yet
        ("2025-07-01", "2025-06-30 22:00:00"),
        ("2025-07-01T00:00:00Z", "2025-07-01"),
    ],
)
def test_local_times(local: str, utc: str) -> None:
    """Of a zone with summer time."""
    assert read([local], "iso", zone="Europe/Berlin") == read([utc], "iso")
