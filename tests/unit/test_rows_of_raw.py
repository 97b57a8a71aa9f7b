"""Rows of raw as a task takes them: what other engines may have written is right, or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.compacting.raw_rows import impressions_of
from batch.lake.profile_merge import complete_profiles_of
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_TITLE
from impressions.core.spec import Spec

COLUMNS = ("profile_id", "title_id", "location", "event_time", "duplicate", "played", "dwell_s")
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
AT_US = int(AT.timestamp()) * 1_000_000


def row(unit: str = "us", **given: Any) -> pa.RecordBatch:
    of = {"profile_id": 7, "title_id": 3, "location": 1, "event_time": AT, "duplicate": False,
          "played": True, "dwell_s": 2.0} | given  # fmt: skip
    kinds = (pa.int64(), pa.int64(), pa.int32(), pa.timestamp(unit, "UTC"), pa.bool_(), pa.bool_(),
             pa.float64())  # fmt: skip
    return pa.RecordBatch.from_pylist([of], pa.schema(zip(COLUMNS, kinds, strict=True)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_unit_are_the_same_time(unit: str) -> None:
    assert impressions_of(row(unit), Spec()).event_us.tolist() == [AT_US]


@pytest.mark.parametrize("title", [-1, MAX_TITLE + 1, 1 << 56])
def test_a_title_that_has_no_place_beside_a_location_is_refused(title: int) -> None:
    """Shifted, it would be another title: 2^56 would be 0."""
    with pytest.raises(CorruptData, match="title"):
        impressions_of(row(title_id=title), Spec())


def test_files_may_have_their_columns_in_any_order(tmp_path: Path) -> None:
    one, other = pa.Table.from_batches([row()]), pa.Table.from_batches([row(title_id=4)])
    pq.write_table(one, tmp_path / "1.parquet")
    pq.write_table(other.select(COLUMNS[::-1]), tmp_path / "2.parquet")
    paths = [str(tmp_path / name) for name in ("1.parquet", "2.parquet")]
    [read] = complete_profiles_of(paths, COLUMNS, {})
    assert read.column("title_id").to_pylist() == [3, 4]


def test_files_of_other_types_are_named(tmp_path: Path) -> None:
    """Such as milliseconds in one of them."""
    for n, unit in enumerate(("us", "ms")):
        pq.write_table(pa.Table.from_batches([row(unit)]), tmp_path / f"{n}.parquet")
    paths = [str(tmp_path / f"{n}.parquet") for n in range(2)]
    with pytest.raises(CorruptData, match=r"1\.parquet: column event_time is timestamp\[ms"):
        list(complete_profiles_of(paths, COLUMNS, {}))
