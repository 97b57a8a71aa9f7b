"""An import of any size takes the memory that a setting gives it, and gives the same rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.closing import ranges
from batch.importing import staging
from impressions.settings.model import Settings
from tests.integration.history import logs, rows_of
from tests.lake.rows import bring_in, file_of, rows


def comparable(settings: Settings) -> list[tuple[object, ...]]:
    names = ("profile_id", "title_id", "event_time", "ingest_time", "log_id", "log_index", "source",
             "duplicate", "dwell_s")  # fmt: skip
    return sorted(tuple(row[name] for name in names) for row in rows(settings))


def test_rows_that_went_to_disk_and_ranges_of_profiles_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred rows in memory at a time, places of more than fifty rows in ranges; seed 21."""
    paths = [
        file_of(tmp_path / f"{n}.parquet", rows_of(logs(21, n=600, days=3))[n::8]) for n in range(8)
    ]
    whole = Settings(home=tmp_path / "whole", partitions=2)
    first = bring_in(whole, *paths)
    spilled: list[int] = []
    spill = staging.Runs._spilled
    monkeypatch.setattr(
        staging.Runs, "_spilled", lambda self, held: spilled.append(1) or spill(self, held)
    )
    monkeypatch.setattr(staging, "SHARE", (1 << 31) // 20_000)
    monkeypatch.setattr(staging, "_GROUP_ROWS", 64)
    monkeypatch.setattr(ranges, "ROW_BYTES", (1 << 29) // 50)
    small = Settings(home=tmp_path / "small", partitions=2)
    second = bring_in(small, *paths)
    assert len(spilled) > 5
    assert first.counts == second.counts
    assert comparable(whole) == comparable(small)
    assert list((tmp_path / "small" / "tmp").iterdir()) == []
