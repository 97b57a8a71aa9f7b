"""Files that cannot be read are named wherever a compact looks into them, also before its tasks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io import load_file_io

from batch.compacting import audit_sample, planning
from batch.jobs.same_spec import SpecOf
from impressions.core.errors import CorruptData
from impressions.core.spec import Spec


def rotten(path: Path) -> str:
    """Its footer is complete, its pages are not."""
    ids = pa.array(range(1_000), pa.int64())
    pq.write_table(pa.table({"profile_id": ids, "impressions": ids}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    path.write_bytes(data)
    return str(path)


def test_ranges_of_a_rotten_file(tmp_path: Path) -> None:
    file: Any = SimpleNamespace(
        path=rotten(tmp_path / "1.parquet"), data=SimpleNamespace(record_count=1_000)
    )
    with pytest.raises(CorruptData, match=r"1\.parquet: not readable"):
        planning.ranges_of([file], 0, 3, load_file_io({}, str(tmp_path)))


@pytest.mark.parametrize("gone", [False, True])
def test_a_sample_of_a_rotten_file_differs(tmp_path: Path, gone: bool) -> None:
    """A difference like any other: the audit says which file it is."""
    path = str(tmp_path / "1.parquet") if gone else rotten(tmp_path / "1.parquet")
    task = audit_sample.Range(0, (), (path,), {}, 0, SpecOf.of(Spec()), 5, 10, 100, 1e-9)
    [said] = audit_sample.compare(task).differences
    assert "1.parquet: cannot be read" in said
