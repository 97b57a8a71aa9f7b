"""Imported files that somebody took rows of: the next import of the file brings them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch.importing import expected
from batch.lake import tables
from impressions.clock import now_ms
from impressions.history.run_history import RunHistory
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from impressions.process.recording import recorded
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome
from tests.integration.history import DAY, EVENT_MAPPING, START, logs, rows_of
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of, rows


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", partitions=4)


def take(settings: Settings, condition: str) -> None:
    """Rows are deleted by another engine, which knows nothing of our properties."""
    tables.require(settings, tables.RAW, hint="").delete(condition)


def bring_recorded(settings: Settings, *paths: str, **more: Any) -> Outcome:
    with recorded(settings, "import", {}):
        return bring_in(settings, *paths, **more)


def events(settings: Settings) -> list[tuple[str, str]]:
    return [
        (e.what, e.detail) for run in RunHistory(settings.history_uri).runs() for e in run.events
    ]


def content(settings: Settings) -> list[tuple[Any, ...]]:
    """Every row of raw, sorted; of equal ones in two files, either may be the duplicate."""
    return sorted(
        (r["profile_id"], r["log_id"], r["log_offset"], r["title_id"], r["location"],
         str(r["event_time"]), r["position"], r["duplicate"], r["dwell_s"])
        for r in rows(settings)
    )  # fmt: skip


def test_rows_that_were_taken_come_back_with_the_next_import(
    settings: Settings, tmp_path: Path
) -> None:
    """Of two files one is short; raw is as before, duplicates too, and the history says so."""
    made = logs(5, n=40)
    half = len(made) // 2
    paths = [
        file_of(tmp_path / f"{n}.parquet", rows_of(some))
        for n, some in enumerate((made[:half], made[half:]))
    ]
    for path in paths:
        bring_in(settings, path)
    before = content(settings)
    source = rows(settings)[0]["source"]
    assert not bring_recorded(settings, *paths).changed
    take(settings, f"source = '{source}' and profile_id < 12")
    assert len(before) > len(content(settings)) > 0
    done = bring_recorded(settings, *paths)
    assert (done.counts["files_new"], done.changed) == (1, True)
    assert content(settings) == before
    assert not bring_recorded(settings, *paths).changed
    brought = sum(row["source"] == source for row in rows(settings))
    assert events(settings) == [("short import completed", f"{source}: {brought:,} rows")]


def test_a_completion_that_ends_half_way_is_completed_by_the_next(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with another mapping, by which the rows come to other days."""
    path = file_of(tmp_path / "e.parquet", [one_row(batch=n, arrived=START + n) for n in range(9)])
    bring_in(settings, path)
    take(settings, "log_id < 4")
    mark = tmp_path / "mark"
    with monkeypatch.context() as switched:
        switched.setenv(VARIABLE, f"after-rejected:raise:1:{mark}")
        with pytest.raises(InjectedFailure):
            bring_in(settings, path)
    assert (hits(mark), len(rows(settings))) == (1, 5)
    bring_in(settings, path, flags=EVENT_MAPPING, ingest_time="event")
    assert len(rows(settings)) == 9
    assert {row["log_offset"] for row in rows(settings)} == {START + 1}


def test_rows_that_shall_stay_away_do(settings: Settings, tmp_path: Path) -> None:
    """--accept-loss says so once, and no completion of that file undoes it later."""
    path = file_of(tmp_path / "e.parquet", [one_row(batch=n) for n in range(9)])
    bring_in(settings, path)
    take(settings, "log_id = 4")
    bring_in(settings, path, accept_loss=True)
    assert not bring_in(settings, path).changed
    take(settings, "log_id = 5")
    assert not bring_in(settings, path).changed
    assert {row["log_id"] for row in rows(settings)} == set(range(9)) - {4, 5}


@pytest.mark.slow
def test_days_that_have_left_the_window_are_no_loss(settings: Settings, tmp_path: Path) -> None:
    """They may be deleted from raw; the file that brought them is not read again."""
    old = [one_row(batch=n, arrived=START, seen_at=START - n) for n in range(4)]
    path = file_of(tmp_path / "old.parquet", old)
    bring_in(settings, path)
    later = START + 400 * DAY
    bring_in(
        settings, file_of(tmp_path / "new.parquet", [one_row(arrived=later, seen_at=later)]),
        clock=lambda: later + DAY,
    )  # fmt: skip
    take(settings, "log_id < 2")
    assert not bring_in(settings, path, clock=lambda: later + DAY).changed


def test_a_commit_of_very_many_files_says_nothing(settings: Settings) -> None:
    """Its line would be in the table's metadata for ever."""
    many = {f"file:{n:016x}": 1 for n in range(expected.MOST + 1)}
    assert expected.properties(many, dict.fromkeys(many, now_ms())) == {}
    one = expected.properties({"file:a": 7}, {"file:a": START + DAY + 1})
    assert one == {"impressions.imported": f"file:a=7@{START + DAY}"}
