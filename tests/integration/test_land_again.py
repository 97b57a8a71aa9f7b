"""A first import with a wrong mapping leaves nothing that the right one would trip over.

Once, a mapping error came after the tables were made, with the wrong P; rejected rows of a wrong
mapping stayed in the table; and a time of day without a date became today's.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.lake import tables
from impressions.core.errors import MappingError, UsageError
from tests.integration.conftest import Lake
from tests.integration.history import MAPPING, write_parquet
from tests.integration.landing import land, one_row, rejected

pytestmark = pytest.mark.spark


def test_a_mapping_error_makes_no_tables(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So another number of partitions can still be chosen."""
    path = write_parquet(tmp_path / "a.parquet", [one_row()])
    wrong = [entry.replace("profile_id=", "profile_id=no_such_") for entry in MAPPING]
    with pytest.raises(MappingError):
        land(empty, capsys, path, map_=wrong)
    assert tables.find(empty.settings, tables.RAW) is None
    assert tables.find(empty.settings, tables.REJECTED) is None


def test_the_right_mapping_clears_what_the_wrong_one_rejected(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text as whole numbers: two rejected. Hashed: two applied, none rejected, in the table too."""
    path = tmp_path / "s.parquet"
    rows = [
        {"u": "ann", "v": 1, "t": 1_767_225_600_000},
        {"u": "bob", "v": 2, "t": 1_767_225_601_000},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    fields = ["title_id=v", "event_time=t:ms"]
    with pytest.raises(MappingError):
        land(empty, capsys, str(path), map_=["profile_id=u", *fields], ingest_time="event")
    first = land(empty, capsys, str(path), map_=["profile_id=u:int", *fields], ingest_time="event")
    assert (first["counts"]["rejected"], len(rejected(empty))) == (2, 2)
    again = land(empty, capsys, str(path), map_=["profile_id=u:hash", *fields], ingest_time="event")
    assert (again["counts"]["applied"], again["counts"]["rejected"]) == (2, 0)
    assert rejected(empty) == []


def test_a_time_without_a_date_is_no_time(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`12:30:00` is rejected; it does not become half past twelve of today."""
    path = tmp_path / "t.csv"
    path.write_text("u,v,t\n1,2,12:30:00\n1,2,2026-01-01T12:30:00Z\n")
    columns = ["profile_id=u", "title_id=v", "event_time=t:iso"]
    report = land(empty, capsys, str(path), map_=columns, ingest_time="event")
    assert report["rejected_by_reason"] == {"bad_event_time": 1}
    assert report["counts"]["applied"] == 1


def test_a_path_that_is_not_there_is_said_before_anything_is_made(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing mistake leaves no tables behind."""
    with pytest.raises(UsageError, match="no_such"):
        land(empty, capsys, str(tmp_path / "no_such.parquet"))
    assert tables.find(empty.settings, tables.RAW) is None
