"""A host whose clock is wrong commits: the table's history stays one that every reader takes.

Iceberg's Java refuses to read a table whose snapshots are stamped out of order, by more than a
minute, or that was last updated before its newest snapshot: for good, whatever the clocks are then.
pyiceberg stamps with the clock of its host and asks nothing.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from batch.lake import tables
from impressions.settings.model import Settings
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of

DAY_S = 86_400
OFF_S = (30 * DAY_S, 0, -DAY_S, 0, 3_600, -365 * DAY_S, 0)


def commits_on_wrong_clocks(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A table with a commit for each clock that was wrong, or right."""
    settings = Settings(home=home)
    true_s = time.time
    for n, off_s in enumerate(OFF_S):
        monkeypatch.setattr(time, "time", lambda off_s=off_s: true_s() + off_s)
        bring_in(settings, file_of(home / f"{n}.parquet", [one_row(user=n + 1, batch=n + 1)]))
    monkeypatch.setattr(time, "time", true_s)
    return settings


def test_snapshots_are_stamped_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None before the one below it, and none after the table's last update."""
    settings = commits_on_wrong_clocks(tmp_path, monkeypatch)
    metadata = tables.require(settings, tables.RAW, hint="").metadata
    stamps = [entry.timestamp_ms for entry in metadata.snapshot_log]
    assert len(stamps) == len(OFF_S)
    assert all(a <= b for a, b in itertools.pairwise(stamps)), stamps
    assert metadata.last_updated_ms >= stamps[-1]
    logged = [entry.timestamp_ms for entry in metadata.metadata_log]
    assert all(a <= b for a, b in itertools.pairwise(logged)), logged
