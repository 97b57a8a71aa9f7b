"""`impressions land` on real Spark and Iceberg, compared with the oracle."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.importing import run
from batch.lake import snapshots, tables
from impressions.core.errors import UsageError
from impressions.process.failpoint import hits
from oracle import naive
from tests.integration.conftest import Lake
from tests.integration.history import (
    DAY,
    EVENT_MAPPING,
    MAPPING,
    START,
    counting,
    expected,
    logs,
    rows_of,
    write_parquet,
)
from tests.integration.jobs import run_job
from tests.integration.landing import land, one_row, raw_id, rejected, states, table_id

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("seed", [1, 2])
def test_an_import_counts_what_the_oracle_counts(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """Late, clamped, bad, resent with the same stamp, in this slot, the next and the one after."""
    made = logs(seed)
    applied, counts = naive.accept(made)
    assert counts["duplicate"] > 50
    assert counts["rejected"] > 30
    report = land(empty, capsys, write_parquet(tmp_path / "e.parquet", rows_of(made)))
    assert {k: report["counts"][k] for k in counts} == counts, f"seed {seed}"
    assert report["counts"]["read"] == sum(counts.values())
    assert counting(empty) == expected(applied), f"seed {seed}"
    assert len(rejected(empty)) == counts["rejected"]
    assert len(report["rejected_by_reason"]) == 6, str(report)


@pytest.mark.slow
def test_with_event_time_as_ingest_time_each_row_is_its_own_log(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that repeats another in id and content is a duplicate, in any order, in any file."""
    rows = [row for row in rows_of(logs(3)) if row["seen_at"] is not None]
    one_by_one = [
        (
            r["user"],
            tuple(repr(v) for k, v in r.items() if k != "arrived"),
            r["seen_at"],
            [event(r)],
        )
        for r in rows
    ]
    applied, counts = naive.accept(one_by_one)
    assert counts["duplicate"] > 50
    paths = [write_parquet(tmp_path / f"{i}.parquet", rows[i::2]) for i in range(2)]
    totals: Counter[str] = Counter()
    for path in paths:
        report = land(empty, capsys, path, map_=EVENT_MAPPING, ingest_time="event")
        assert "ingest time = event time" in report["notes"]
        totals.update(report["counts"])
    assert {k: totals[k] for k in counts} == counts
    assert counting(empty) == expected(applied)


def event(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a file as an impression of the oracle."""
    return {
        "title": row["video"], "location": row["tab"], "event_ms": row["seen_at"],
        "played": row["opened"], "dwell_s": row["watched_ms"] / 1000,
    }  # fmt: skip


def test_the_same_import_again_adds_nothing(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither rows nor a snapshot, under whatever name the file goes."""
    rows = rows_of(logs(4, n=40))
    path = write_parquet(tmp_path / "e.parquet", rows)
    first = land(empty, capsys, path)
    before = raw_id(empty), table_id(empty, tables.REJECTED)
    (tmp_path / "copy.pq").write_bytes(Path(path).read_bytes())
    again = land(empty, capsys, str(tmp_path / "copy.pq"))
    assert first["changed"]
    assert not again["changed"]
    assert again["counts"]["read"] == 0
    assert any("already imported" in note for note in again["notes"])
    assert (raw_id(empty), table_id(empty, tables.REJECTED)) == before


@pytest.mark.slow
def test_a_history_in_parts_gives_what_it_gives_at_once(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows dealt out to three files that share slots, logs and copies, imported one by one."""
    rows = rows_of(logs(5))
    applied, _ = naive.accept(logs(5))
    random.Random(5).shuffle(rows)
    for i in range(3):
        land(empty, capsys, write_parquet(tmp_path / f"{i}.parquet", rows[i::3]))
    assert counting(empty) == expected(applied)
    assert all(state.closed for state in states(empty).values())


@pytest.mark.slow
def test_a_file_that_overlaps_another_brings_only_its_own_rows(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two exports of the same days: what is in both counts once, clamped rows too."""
    made = logs(6)
    applied, _ = naive.accept(made)
    land(empty, capsys, write_parquet(tmp_path / "a.parquet", rows_of(made)))
    report = land(empty, capsys, write_parquet(tmp_path / "b.parquet", rows_of(made[::2])))
    assert report["counts"]["applied"] == 0
    assert report["counts"]["duplicate"] > 0
    assert counting(empty) == expected(applied)


def test_a_slot_imported_later_flags_the_slot_after_it(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Log 7 of day 1 is a duplicate only once day 0, which also has it, is in."""
    day = [[one_row(arrived=START + d * DAY + 5, seen_at=START)] for d in range(2)]
    land(empty, capsys, write_parquet(tmp_path / "1.parquet", day[1]))
    assert [key[4] for key in counting(empty)] == [START + DAY + 5]
    land(empty, capsys, write_parquet(tmp_path / "0.parquet", day[0]))
    assert [key[4] for key in counting(empty)] == [START + 5]


def test_closed_slots_are_sorted_and_late_rows_lie_apart(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an import writes is what `close` writes: of a small slot one file of recent events, and
    one of events that are more than a week old."""
    land(empty, capsys, write_parquet(tmp_path / "e.parquet", rows_of(logs(8))))
    files = empty.spark.sql(
        "SELECT file_path, unix_millis(partition.ingest_slot) AS slot, "
        "unix_millis(readable_metrics.event_time.lower_bound) AS oldest_ms "
        "FROM lake.impressions.raw.files"
    ).collect()
    kinds = Counter((f["slot"], f["oldest_ms"] < f["slot"] - 7 * DAY) for f in files)
    assert set(kinds.values()) == {1}
    assert {late for _, late in kinds} == {True, False}
    for file in files:
        table = pq.read_table(file["file_path"].removeprefix("file:"))
        order = ("shard", "profile_id", "title_id")
        keys = list(zip(*(table[c].to_pylist() for c in order), strict=True))
        assert keys == sorted(keys)
        assert table["duplicate"].null_count == 0


@pytest.mark.slow
@pytest.mark.representative
def test_a_run_killed_between_its_two_commits_is_finished_by_the_next(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rejected rows are in, raw is not: the same command again gives exactly one import."""
    made = logs(9)
    applied, counts = naive.accept(made)
    path = write_parquet(tmp_path / "e.parquet", rows_of(made))

    columns = [part for pair in MAPPING for part in ("--map", pair)]
    killed = run_job(
        "batch.land", empty.settings.home, "--from-files", path, *columns,
        failpoint=f"after-rejected:kill:1:{tmp_path / 'fired'}",
    )  # fmt: skip
    assert (killed.returncode, hits(tmp_path / "fired")) == (-9, 1), killed.stderr
    assert len(rejected(empty)) == counts["rejected"]
    assert raw_id(empty) is None
    report = land(empty, capsys, path)
    assert {k: report["counts"][k] for k in counts} == counts
    assert len(rejected(empty)) == counts["rejected"]
    assert counting(empty) == expected(applied)
    assert list((empty.settings.home_dir / "tmp").glob("import-*/*")) == []


def test_a_commit_that_comes_between_is_not_lost_nor_unseen(
    empty: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While day 1 is written, another import brings day 0 with the same log."""
    paths = [
        write_parquet(tmp_path / f"{d}.parquet", [one_row(arrived=START + d * DAY, seen_at=START)])
        for d in range(2)
    ]
    land(empty, capsys, write_parquet(tmp_path / "x.parquet", [one_row(arrived=START + 9 * DAY)]))
    write, fired = run.commit, []

    def interleaved(*arguments: Any) -> int:
        if not fired:
            fired.append(True)
            land(empty, capsys, paths[0])
        return write(*arguments)

    monkeypatch.setattr(run, "commit", interleaved)
    land(empty, capsys, paths[1])
    assert fired
    assert sorted(key[4] for key in counting(empty)) == [START, START + 9 * DAY]


def test_a_commit_to_the_same_slot_makes_the_import_start_over(
    empty: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both imports of one slot are in, the log they share counts once."""
    paths = [
        write_parquet(tmp_path / f"{i}.parquet", [one_row(), one_row(batch=i, place=i)])
        for i in (1, 2)
    ]
    write, fired = run.commit, []

    def interleaved(*arguments: Any) -> int:
        if not fired:
            fired.append(True)
            land(empty, capsys, paths[0])
        return write(*arguments)

    monkeypatch.setattr(run, "commit", interleaved)
    report = land(empty, capsys, paths[1])
    assert fired
    assert report["counts"] == {
        "read": 2, "applied": 1, "duplicate": 1, "rejected": 0, "files": 1, "files_new": 1,
        "files_left_out": 0,
    }  # fmt: skip
    assert sum(counting(empty).values()) == 3


@pytest.mark.slow
def test_a_dry_run_counts_the_same_and_writes_nothing(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the tables exist, and when they do."""
    made = logs(10, n=60)
    half = rows_of(made)[::2]
    parts = [write_parquet(tmp_path / f"{i}.parquet", rows) for i, rows in
             enumerate((half, rows_of(made)[1::2]))]  # fmt: skip
    for path in parts:
        before = raw_id(empty)
        dry = land(empty, capsys, path, dry_run=True)
        assert raw_id(empty) == before
        assert dry["counts"] == land(empty, capsys, path)["counts"]


def test_valid_through_is_the_slot_after_the_newest_row_and_never_goes_back(
    empty: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Later on request, even without a new row; earlier than the rows: refused."""

    def reached() -> int | None:
        return snapshots.state(tables.find(empty.settings, tables.RAW)).valid_through_ms

    new = write_parquet(tmp_path / "new.parquet", [one_row(arrived=START + DAY)])
    old = write_parquet(tmp_path / "old.parquet", [one_row()])
    with pytest.raises(UsageError, match="expected 2026-01-03T00:00:00Z or later"):
        land(empty, capsys, new, valid_through="2026-01-02")
    land(empty, capsys, new)
    assert reached() == START + 2 * DAY
    land(empty, capsys, old)
    assert reached() == START + 2 * DAY
    report = land(empty, capsys, old, valid_through="2026-02-01")
    assert report["changed"]
    assert reached() == START + 31 * DAY
    assert not land(empty, capsys, old, valid_through="2026-02-01")["changed"]
