"""`land --forget`: as if the file had never come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch.importing import forget as module
from batch.importing.forget import Forgetting, forget
from batch.jobs.tasks import Runner
from batch.lake import tables
from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run
from tests.integration.history import DAY, START
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of, rows, through_ms


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", partitions=4)


def out(settings: Settings, *names: str, **more: Any) -> Outcome:
    return forget(Forgetting(settings, start_run("forget"), Runner(), now_ms, names, **more))


def again(day: int) -> dict[str, Any]:
    """Log 7 with title 5, ingested on a day."""
    return one_row(video=5, arrived=START + day * DAY)


def counted(settings: Settings) -> list[tuple[int, bool]]:
    """(title, duplicate) of every row of raw."""
    return sorted((row["title_id"], row["duplicate"]) for row in rows(settings))


def test_rows_rejected_rows_and_valid_through_are_taken_back(
    settings: Settings, tmp_path: Path
) -> None:
    """Two files; the newer is taken out, with the row it rejected and the time it claimed."""
    bring_in(settings, file_of(tmp_path / "old.parquet", [one_row(video=1)]))
    bad = one_row(video=-1, arrived=START + 5 * DAY)
    new = file_of(tmp_path / "new.parquet", [one_row(video=2, arrived=START + 5 * DAY), bad])
    bring_in(settings, new)
    assert through_ms(settings) == START + 6 * DAY
    report = out(settings, new)
    assert report.counts == {"rows": 1, "rejected": 1, "slots": 1}
    assert counted(settings) == [(1, False)]
    assert rows(settings, tables.REJECTED) == []
    assert through_ms(settings) == START + DAY
    assert not out(settings, new).changed


def test_a_duplicate_of_a_forgotten_row_counts_again(settings: Settings, tmp_path: Path) -> None:
    """The same log in two files, and once more a day later in a third: the second and the third
    were duplicates of the first."""
    paths = [
        file_of(tmp_path / f"{n}.parquet", [again(d), one_row(batch=n)])
        for n, d in ((10, 0), (20, 0), (30, 1))
    ]  # fmt: skip
    for path in paths:
        bring_in(settings, path)
    assert [flag for title, flag in counted(settings) if title == 5] == [False, True, True]
    out(settings, paths[0])
    assert [flag for title, flag in counted(settings) if title == 5] == [False, True]


def test_it_may_be_imported_again_with_another_mapping(settings: Settings, tmp_path: Path) -> None:
    """By the source that the note of the refused second import names."""
    path = file_of(tmp_path / "e.parquet", [one_row(watched_ms=3000.0)])
    bring_in(settings, path)
    again = start_run("land")
    bring_in(settings, path, run=again)
    (note,) = [note for note in again.notes if "already imported" in note]
    out(settings, note.rpartition(" ")[2])
    assert through_ms(settings) is None
    flags = ["profile_id=user", "title_id=video", "event_time=seen_at:ms", "dwell_s=watched_ms:us"]
    assert bring_in(settings, path, flags=flags, ingest_time="event").counts["applied"] == 1
    assert [row["dwell_s"] for row in rows(settings)] == [0.003]


def test_killed_between_its_commits_it_is_finished_by_the_next(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are gone, rejected rows are not yet."""
    path = file_of(tmp_path / "e.parquet", [one_row(), one_row(video=-1)])
    bring_in(settings, path)
    with monkeypatch.context() as broken:
        broken.setattr(module, "_from_rejected", lambda *given: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            out(settings, path)
    assert (len(rows(settings)), len(rows(settings, tables.REJECTED))) == (0, 1)
    out(settings, path)
    assert rows(settings, tables.REJECTED) == []


def test_a_dry_run_counts_and_leaves_everything(settings: Settings, tmp_path: Path) -> None:
    path = file_of(tmp_path / "e.parquet", [one_row()])
    bring_in(settings, path)
    report = out(settings, path, dry_run=True)
    assert (report.counts["rows"], report.changed) == (1, False)
    assert len(rows(settings)) == 1


def test_what_is_neither_a_file_nor_a_source_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match="neither a file nor a source"):
        out(settings, "kafka:0123456789abcdef")
