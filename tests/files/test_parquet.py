"""Parquet as the world writes it: only mapped columns are read, of any layout."""

from __future__ import annotations

import datetime as dt
import pickle
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.files.identify import identify
from batch.files.parquet import _is_read
from batch.files.reader import open_files, read
from batch.mapping.grammar import read_mapping
from impressions.core.errors import CorruptData, MappingError, UsageError
from impressions.core.ids import LOG_BITS, PROFILE_BITS, hash_id
from tests.files.support import MS, NOW_MS, PLAIN, SPEC, parquet, take, text

GOOD: dict[str, Any] = {"u": [1, 2, 3], "t": [10, 11, 12], "ms": [MS] * 3}
PAIRS = [(1, 10), (2, 11), (3, 12)]
HASH = ("profile_id=u:hash", *PLAIN[1:])
WORDS = ["ann", None, "bob"]

UNMAPPED = {
    "time32": pa.array([1, 2, 3], pa.time32("ms")),
    "time64": pa.array([1, 2, 3], pa.time64("ns")),
    "duration": pa.array([1, 2, 3], pa.duration("us")),
    "list": pa.array([[1], [], None]),
    "struct": pa.array([{"u": 1, "t": 2}] * 3),
    "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "nested": pa.array([[{"x": [{"u": 1}]}]] * 3),
    "f16": pa.array(np.array([1, 2, 3], np.float16)),
    "nothing": pa.nulls(3),
    "binary": pa.array([b"\xff\xfe", b"", None]),
    "uuid": pa.array([uuid.UUID(int=i).bytes for i in range(3)], pa.uuid()),
    "dec": pa.array([Decimal("1.5")] * 3, pa.decimal256(60, 5)),
    "ee": pa.array(["a", "a", "b"]).dictionary_encode(),
    "_corrupt_record": pa.array(["a", "b", "c"]),
    "": pa.array([1, 2, 3]),
}


@pytest.mark.parametrize("name", UNMAPPED)
def test_what_is_not_mapped_does_not_matter(tmp_path: Path, name: str) -> None:
    """Of any type and name, in front of the mapped columns."""
    assert take(parquet(tmp_path / "e.parquet", {name: UNMAPPED[name], **GOOD})).pairs == PAIRS


def test_names_twice(tmp_path: Path) -> None:
    """Unmapped, they harm nobody; mapped, nobody knows which is meant."""
    arrays = [pa.array(values) for values in ([7] * 3, *GOOD.values(), [8] * 3)]
    path = parquet(tmp_path / "e.parquet", pa.table(arrays, names=["x", "u", "t", "ms", "x"]))
    assert take(path).pairs == PAIRS
    path = parquet(tmp_path / "f.parquet", pa.table(arrays, names=["t", "u", "t", "ms", "x"]))
    with pytest.raises(MappingError, match=r"f\.parquet: column 't' is there 2 times"):
        take(path)


@pytest.mark.parametrize("name", ["a.b", "a b", "a`b", 'a"b', "größe", "list.element", "s.u"])
def test_any_name_of_a_column(tmp_path: Path, name: str) -> None:
    """A nested field is not a column with a dot in its name."""
    nested = {"a": [{"b": 9}] * 3, "s": [{"u": 9}] * 3, "list": [[9]] * 3}
    path = parquet(tmp_path / "e.parquet", {**nested, name: GOOD["u"], **GOOD})
    assert take(path, map_=(f"profile_id={name}", *PLAIN[1:])).pairs == PAIRS
    with pytest.raises(MappingError, match=r"no column 's\.x'"):
        take(path, map_=("profile_id=s.x", *PLAIN[1:]))
    with pytest.raises(MappingError, match="of a type that is not read"):
        take(path, map_=("profile_id=list", *PLAIN[1:]))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(WORDS), pa.array(WORDS, pa.large_string()), pa.array(WORDS, pa.string_view()),
        pa.array(WORDS).dictionary_encode(), pa.array(WORDS, pa.binary()),
        pa.array(WORDS, pa.large_binary()), pa.array(WORDS, pa.binary_view()),
        pa.array([b"ann", None, b"bob"], pa.binary(3)),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
@pytest.mark.parametrize("store_schema", [True, False])
def test_text_of_every_layout(tmp_path: Path, column: pa.Array, store_schema: bool) -> None:
    """Strings, views, categories, and binary that is UTF-8."""
    path = parquet(tmp_path / "e.parquet", {**GOOD, "u": column}, store_schema=store_schema)
    result = take(path, map_=HASH)
    assert [r[2] for r in result.rows] == ["ok", "missing_profile", "ok"]
    assert result.rows[0][3] == hash_id("ann", PROFILE_BITS)


def test_bytes_that_are_no_text_are_rejected_row_by_row(tmp_path: Path) -> None:
    """In binary, and in a string column whose writer did not look."""
    broken = pa.array([b"ann", b"caf\xe9", None], pa.binary())
    for column in (
        broken,
        broken.view(pa.string()),
    ):
        result = take(parquet(tmp_path / "e.parquet", {**GOOD, "u": column}), map_=HASH)
        assert [r[2] for r in result.rows] == ["ok", "undecodable", "missing_profile"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2, 3], pa.int8()), ["ok"] * 3),
        (pa.array([1, 2**63, 2**64 - 1], pa.uint64()), ["ok", "bad_profile", "bad_profile"]),
        (pa.array([1.0, 2.5, None]), ["ok", "bad_profile", "missing_profile"]),
        (pa.array([1.0, 2.0, 2.0**54]), ["ok", "ok", "bad_profile"]),
        (pa.array(np.array([1, 2, 3], np.float16)), ["ok"] * 3),
        (pa.array([Decimal(1), Decimal("1.5"), None]), ["ok", "bad_profile", "missing_profile"]),
        (pa.array([1, 2, 1]).dictionary_encode(), ["ok"] * 3),
        (pa.nulls(3), ["missing_profile"] * 3),
        (pa.nulls(3, pa.int64()), ["missing_profile"] * 3),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_ids_of_every_type(tmp_path: Path, column: pa.Array, expected: list[str]) -> None:
    """Whole numbers are ids, whatever holds them; others are rejected row by row."""
    path = parquet(tmp_path / "e.parquet", {**GOOD, "u": column})
    assert [r[2] for r in take(path).rows] == expected


def test_uuids(tmp_path: Path) -> None:
    """Their text is hashed."""
    one = uuid.UUID("12345678-1234-5678-1234-567812345678")
    path = parquet(tmp_path / "e.parquet", {**GOOD, "u": pa.array([one.bytes] * 3, pa.uuid())})
    assert take(path, map_=HASH).rows[0][3] == hash_id(str(one), PROFILE_BITS)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([MS], pa.timestamp("ms")), pa.array([MS * 1000 + 999], pa.timestamp("us", "UTC")),
        pa.array([MS * 10**6 + 999_999], pa.timestamp("ns", "Asia/Tokyo")),
        pa.array([MS // 1000], pa.timestamp("s")),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"use_deprecated_int96_timestamps": True}])
def test_timestamps(tmp_path: Path, column: pa.Array, options: dict[str, Any]) -> None:
    """Any unit and zone, INT96 with and without Arrow's own schema beside it."""
    for stored in (True, False):
        table = {"u": [1], "t": [1], "at": column}
        path = parquet(tmp_path / "e.parquet", table, store_schema=stored, **options)
        map_ = ("profile_id=u", "title_id=t", "event_time=at:timestamp")
        assert take(path, map_=map_).column("event_ms") == [MS]


def test_int96_of_years_far_away_do_not_wrap(tmp_path: Path) -> None:
    """Read as nanoseconds, the year 9999 would be 1816."""
    far = pa.array([dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), None], pa.timestamp("us"))
    path = parquet(
        tmp_path / "e.parquet", {**GOOD, "at": far}, use_deprecated_int96_timestamps=True
    )
    result = take(path, map_=(*PLAIN[:2], "event_time=at", "ingest_time=ms:ms"), ingest=None,
                  look=False)  # fmt: skip
    assert result.column("event_ms")[:2] == [-62_135_510_400_000, 253_402_128_000_000]


def test_pandas_and_its_index(tmp_path: Path) -> None:
    """A nullable id becomes a float with gaps; the index is one more column."""
    frame = pd.DataFrame(
        {"u": [1.0, None, 3.0], "t": [10, 11, 12], "ms": [MS] * 3}, index=[5, 6, 7]
    )
    frame.to_parquet(tmp_path / "e.parquet")
    result = take(tmp_path / "e.parquet")
    assert [r[2] for r in result.rows] == ["ok", "missing_profile", "ok"]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_codecs(tmp_path: Path, codec: str) -> None:
    """All that Arrow knows; another is refused by its name."""
    assert take(parquet(tmp_path / "e.parquet", compression=codec)).pairs == PAIRS
    assert not _is_read(pa, "LZO")


def test_pieces_are_whole_row_groups_and_can_travel(tmp_path: Path) -> None:
    """Read apart, in any order, they are the file; rows keep their numbers."""
    n = 1000
    table = pa.table({"u": range(n), "t": range(n), "ms": [MS] * n})
    path = parquet(tmp_path / "e.parquet", table, row_group_size=64)
    mapping = read_mapping(list(PLAIN), None, "event")
    (opened,) = open_files(identify([path]), mapping)
    pieces = pickle.loads(pickle.dumps(opened.pieces(200)))
    assert opened.rows == n
    assert [piece.rows for piece in pieces] == [192, 192, 192, 192, 192, 40]
    for piece, first in zip(reversed(pieces), (960, 768, 576, 384, 192, 0), strict=True):
        parts = list(read(piece, mapping, SPEC, NOW_MS))
        numbers = np.concatenate([part.row_number for part in parts])
        assert numbers.tolist() == list(range(first, first + piece.rows))
        assert np.concatenate([part.profile_id for part in parts]).tolist() == numbers.tolist()
    assert [piece.rows for piece in opened.pieces(1)] == [64] * 15 + [40]


def test_no_rows(tmp_path: Path) -> None:
    """A table without rows is one, with a row group or without."""
    schema = pa.schema([("u", pa.int64()), ("t", pa.int64()), ("ms", pa.int64())])
    assert take(parquet(tmp_path / "e.parquet", schema.empty_table())).rows == []
    with pq.ParquetWriter(tmp_path / "f.parquet", schema):
        pass
    assert take(tmp_path / "f.parquet").rows == []


def test_wide_rows_come_in_small_batches(tmp_path: Path) -> None:
    """Memory is bounded by bytes, not by rows."""
    n = 300
    wide = {"u": range(n), "t": range(n), "ms": [MS] * n,
            "d": [f"{i}" + "x" * (1 << 20) for i in range(n)]}  # fmt: skip
    path = parquet(tmp_path / "e.parquet", wide, compression="zstd", use_dictionary=False)
    result = take(path, map_=(*PLAIN, "device_type=d"))
    assert max(len(part) for part in result.parts) <= 40
    assert len(result.rows) == n


@pytest.mark.parametrize("keep", [0, 3, 8, 100, -1, -8, -20])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, keep: int) -> None:
    """Whatever is left of it."""
    whole = parquet(tmp_path / "w.parquet").read_bytes()
    text(tmp_path / "e.parquet", whole[:keep])
    with pytest.raises(CorruptData, match=r"e\.parquet: not readable as Parquet \([\d,]+ bytes\)"):
        take(tmp_path / "e.parquet")


def test_flipped_bytes_are_no_rows(tmp_path: Path) -> None:
    """Each byte of the pages in turn: refused, or (in a page's own header) read as it was."""
    n = 50
    path = parquet(
        tmp_path / "e.parquet", {"u": range(n), "t": range(n), "ms": [MS] * n},
        write_page_checksum=True, use_dictionary=False, compression="none",
    )  # fmt: skip
    whole, refused = path.read_bytes(), 0
    for place in range(4, pq.read_metadata(path).row_group(0).total_byte_size, 7):
        text(path, whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            assert take(path, look=False).pairs == [(i, i) for i in range(n)]
        except (CorruptData, UsageError) as error:
            refused += "e.parquet: " in error.message
    assert refused > 50


def test_encrypted_files_are_refused_by_name(tmp_path: Path) -> None:
    """The magic of an encrypted footer."""
    whole = parquet(tmp_path / "w.parquet").read_bytes()
    text(tmp_path / "e.parquet", b"PARE" + whole[4:-4] + b"PARE")
    with pytest.raises((UsageError, CorruptData), match=r"e\.parquet: "):
        take(tmp_path / "e.parquet")


def test_values_of_hash_columns(tmp_path: Path) -> None:
    """Numbers, truth and times enter as their stated text."""
    table = {**GOOD, "b": [True, False, None], "at": pa.array([MS] * 3, pa.timestamp("ms"))}
    path = parquet(tmp_path / "e.parquet", table)
    ids = take(path, map_=(*PLAIN, "log_id=hash(u,b,at)")).column("log_id")
    assert ids[0] == hash_id("1\x1ftrue\x1f2025-11-01T12:26:40Z\x1f", LOG_BITS)
    assert ids[2] == hash_id("3\x1f\x00\x1f2025-11-01T12:26:40Z\x1f", LOG_BITS)


def test_a_small_file_that_would_be_gigabytes(tmp_path: Path) -> None:
    """A long text that every row repeats is stored once: it is written out in bounded parts."""
    n, wide = 2000, "x" * (1 << 20)
    device = pa.DictionaryArray.from_arrays(pa.array([0, 1] * (n // 2)), pa.array([wide, "tv"]))
    columns = {"u": range(n), "t": range(n), "ms": [MS] * n, "d": device}
    for stored in (True, False):
        path = parquet(tmp_path / "e.parquet", columns, store_schema=stored, compression="zstd")
        assert path.stat().st_size < 1 << 20
        mapping = read_mapping([*PLAIN, "device_type=d"], None, "event")
        (opened,) = open_files(identify([path]), mapping)
        (piece,) = opened.pieces(n)
        seen, most = 0, 0
        for part in read(piece, mapping, SPEC, NOW_MS):
            assert part.row_number[0] == seen
            seen, most = seen + len(part), max(most, part.device_type.nbytes)
        assert seen == n
        assert most < 80 << 20
