"""A host whose clock is wrong commits: the table's history stays one that every reader takes.

Iceberg's Java refuses to read a table whose snapshots are stamped out of order, by more than a
minute, or that was last updated before its newest snapshot: for good, whatever the clocks are then.
pyiceberg stamps with the clock of its host and asks nothing.
"""

from __future__ import annotations

import itertools
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from pyiceberg.table import CommitTableRequest, TableIdentifier, update

from batch.lake import refs, snapshots, tables
from batch.lake.guarded_commit import commit
from batch.lake.ref_updates import Dropping, Guard
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


def test_refs_are_stamped_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host whose clock is a day behind, a tag, a branch, its fast-forward and its end."""
    settings = Settings(home=tmp_path)
    bring_in(settings, file_of(tmp_path / "1.parquet", [one_row(user=1, batch=1)]))
    raw = tables.require(settings, tables.RAW, hint="")
    before = raw.metadata
    true_s = time.time
    monkeypatch.setattr(update, "datetime", _DayBehind)
    monkeypatch.setattr(time, "time", lambda: true_s() - DAY_S)
    head = snapshots.main_id(raw)
    assert head is not None
    stamps = []
    refs.set_tag(raw, "src_2026_11_15", head)
    stamps.append(raw.metadata.last_updated_ms)
    refs.set_branch(raw, "audit_2026_11_15", head)
    commit(raw, (), {}, branch="audit_2026_11_15")
    refs.fast_forward(raw, "audit_2026_11_15")
    stamps.append(raw.metadata.snapshot_log[-1].timestamp_ms)
    refs.drop_branch(raw, "audit_2026_11_15")
    stamps.append(raw.metadata.last_updated_ms)
    assert len(raw.metadata.snapshot_log) == 2
    assert before.last_updated_ms < stamps[0] < stamps[1] < stamps[2]


class _DayBehind(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _DayBehind:
        return super().now(tz) - timedelta(days=1)


def test_what_is_set_of_mains_snapshots_stays(tmp_path: Path) -> None:
    """Somebody keeps 7 snapshots, none older than 9 days, by `ALTER TABLE`: a commit to main and a
    fast-forward leave that."""
    settings = Settings(home=tmp_path)
    bring_in(settings, file_of(tmp_path / "1.parquet", [one_row(user=1, batch=1)]))
    raw = tables.require(settings, tables.RAW, hint="")
    head, ages = snapshots.main_id(raw), {"max_snapshot_age_ms": 9_000, "min_snapshots_to_keep": 7}
    with raw.manage_snapshots() as changed:
        changed.create_branch(head, "main", **ages)
    commit(raw, (), {})
    refs.set_branch(raw, "audit_2026_11_15", head := snapshots.main_id(raw))
    commit(raw, (), {}, branch="audit_2026_11_15")
    assert refs.fast_forward(raw, "audit_2026_11_15") != head
    assert refs.ages(raw, "main") == ages


def test_behind_rest_they_are_the_updates_of_the_specification() -> None:
    """What another server is sent does not show that they are stamped here."""
    pointing = refs.branch_at("audit_2026_11_15", 7)
    dropping, guard = Dropping(ref_name="a"), Guard(ref="a", **{"snapshot-id": None})
    plain = update.SetSnapshotRefUpdate(**pointing.model_dump(by_alias=True))
    ours, theirs = (
        CommitTableRequest(
            identifier=TableIdentifier(namespace=("n",), name="t"), requirements=needs, updates=of
        ).model_dump_json()
        for needs, of in (
            ((guard,), (pointing, dropping)),
            (
                (update.AssertRefSnapshotId(ref="a", **{"snapshot-id": None}),),
                (plain, update.RemoveSnapshotRefUpdate(ref_name="a")),
            ),
        )
    )
    assert ours == theirs
