"""What files may hold: formats, kinds of times and ids, faulty rows, mappings that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.lake import tables
from impressions.core.errors import CorruptData, MappingError
from impressions.core.ids import PROFILE_BITS, hash_id
from tests.integration.conftest import Lake
from tests.integration.history import DAY, MAPPING, START, counting, write_parquet
from tests.integration.landing import land, one_row, raw_id, rejected, table_id

pytestmark = pytest.mark.spark


def test_rejected_rows_are_kept_as_they_came(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reason, file, row number and the row as JSON; a file of bad rows only is also done once."""
    path = write_parquet(tmp_path / "bad.parquet", [one_row(video=None), one_row(tab=999)])
    report = land(empty, capsys, path)
    assert report["counts"]["rejected"] == report["counts"]["read"] == 2
    assert raw_id(empty) is None
    rows = {row["reason"]: row for row in rejected(empty)}
    assert rows["bad_location"]["row_number"] == 1
    assert rows["bad_location"]["file"] == path
    assert json.loads(rows["bad_location"]["row"])["tab"] == 999
    assert json.loads(rows["missing_title"]["row"])["video"] is None
    before = table_id(empty, tables.REJECTED)
    assert not land(empty, capsys, path)["changed"]
    assert table_id(empty, tables.REJECTED) == before


def test_csv_with_string_ids_and_bad_lines(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text is hashed where that is stated, digits are read strictly, nothing is null quietly."""
    (tmp_path / "day one").mkdir()
    path = tmp_path / "day one" / "e.csv"
    path.write_text(
        "who,what,when,got,where\n"
        "ann,10,2026-01-01T00:00:00.500Z,1767225601.25,1\n"
        '"b, ob",11,2026-01-01 01:00:00+01:00,1767225602,\n'
        "cid,twelve,2026-01-01T00:00:00Z,1767225603,1\n"
        "dan,13,yesterday,1767225604,1\n"
        "eve,14,2026-01-01T00:00:00Z\n"
        "fay,1.5,2026-01-01T00:00:00Z,1767225605,1\n"
        ",15,2026-01-01T00:00:00Z,1767225606,1\n"
    )
    columns = ["profile_id=who:hash", "title_id=what", "event_time=when:iso", "location=where",
               "ingest_time=got:s"]  # fmt: skip
    report = land(empty, capsys, str(tmp_path), map_=columns)
    assert report["rejected_by_reason"] == {
        "bad_title": 2, "bad_event_time": 1, "undecodable": 1, "missing_profile": 1,
    }  # fmt: skip
    assert report["defaulted"]["location"] >= 1
    assert set(counting(empty)) == {
        (hash_id("ann", PROFILE_BITS), 10, 1, START + 500, START + 1250, 0, 0.0),
        (hash_id("b, ob", PROFILE_BITS), 11, 0, START, START + 2000, 0, 0.0),
    }


@pytest.mark.slow
def test_times_of_every_kind_are_floored_to_the_millisecond(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same instant as ns, us and naive timestamps, as doubles of seconds, in five files."""
    us = START * 1000 + 123_999
    kinds = {
        "ns": (pa.array([us * 1000], pa.timestamp("ns", "UTC")), ""),
        "us": (pa.array([us], pa.timestamp("us")), ":timestamp"),
        "int_us": (pa.array([us]), ":us"),
        "int_ns": (pa.array([us * 1000]), ":ns"),
        "double_s": (pa.array([us / 1e6]), ":s"),
    }
    for i, (name, (times, unit)) in enumerate(kinds.items()):
        path = str(tmp_path / f"{name}.parquet")
        pq.write_table(pa.table({"u": [i], "t": [1], "at": times}), path)
        columns = ["profile_id=u", "title_id=t", f"event_time=at{unit}"]
        land(empty, capsys, path, map_=columns, ingest_time="event")
    assert {key[0]: key[3] for key in counting(empty)} == dict.fromkeys(range(5), START + 123)


def test_files_of_two_shapes_in_one_import(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """int32 ids here, int64 there, and the same columns as CSV."""
    for name, type_ in (("a", pa.int32()), ("b", pa.int64())):
        table = pa.table({"u": pa.array([1], type_), "t": pa.array([2], type_), "at": [START]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "c.csv").write_text(f"t,u,at\n2,1,{START}\n")
    columns = ["profile_id=u", "title_id=t", "event_time=at:ms"]
    report = land(empty, capsys, str(tmp_path), map_=columns, ingest_time="event")
    assert (report["counts"]["files"], report["counts"]["applied"]) == (3, 3)
    assert set(counting(empty)) == {(1, 2, 0, START, START, 0, 0.0)}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"user": None}, "missing_profile"),
        ({"video": None}, "missing_title"),
        ({"seen_at": None}, "missing_event_time"),
        ({"arrived": None}, "missing_ingest_time"),
        ({"arrived": 4_102_444_800_000}, "bad_ingest_time"),
        ({"batch": None}, "missing_log_id"),
        ({"user": -1}, "bad_profile"),
        ({"video": 2**55}, "bad_title"),
        ({"tab": 256}, "bad_location"),
        ({"watched_ms": float("inf")}, "bad_dwell"),
        ({"seen_at": START - 337 * DAY}, "out_of_window"),
        ({"place": 2**31}, "undecodable"),
        ({"opened": 2}, "undecodable"),
    ],
)
def test_each_reason(
    lake: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
    reason: str,
) -> None:
    """One good row and one with a fault: the fault is named."""
    path = write_parquet(tmp_path / "e.parquet", [one_row(), one_row(**values)])
    report = land(lake, capsys, path, dry_run=True)
    assert report["rejected_by_reason"] == {reason: 1}
    assert report["counts"]["applied"] == 1


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        ({"event_time": "seen_at:s"}, "the median would be about the year", "seen_at:ms"),
        ({"ingest_time": "arrived:us"}, "the median would be 1970-01-21", "arrived:ms"),
        ({"event_time": "seen_at"}, "without a unit", "seen_at:ms"),
        ({"event_time": "seen:ms"}, "no column 'seen'", "did you mean seen_at"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_before_anything_is_written(
    lake: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: dict[str, str],
    message: str,
    hint: str,
) -> None:
    """The message says what was found, the hint what to write instead."""
    path = write_parquet(tmp_path / "e.parquet", [one_row()])
    mapping = dict(pair.split("=") for pair in MAPPING) | columns
    with pytest.raises(MappingError, match=message) as caught:
        land(lake, capsys, path, map_=[f"{k}={v}" for k, v in mapping.items()])
    assert hint in str(caught.value.hint)


def test_a_file_that_was_cut_short_is_named(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read of the others."""
    path = Path(write_parquet(tmp_path / "e.parquet", [one_row()]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptData, match=r"e\.parquet: not readable as Parquet"):
        land(lake, capsys, str(path))
