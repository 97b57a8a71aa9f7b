"""`impressions.quality`: written by imports and closes, exactly once, healed, backfilled, judged.

Real Iceberg tables; no Spark.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.importing.forget import Forgetting, forget
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.quality import table as quality_table
from batch.quality.acceptance import PREFIX
from batch.quality.segments import ALL, Segment
from batch.status.accept import command as accept_command
from batch.status.accept import run_accept
from batch.status.lake import read_lake
from batch.status.quality import run_quality
from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from tests.context import local_context
from tests.lake.rows import bring_in
from tests.quality import faults
from tests.quality.lake import MAPPING, TRAFFIC, file_of, files_in, settings_in
from tests.quality.traffic import FIRST_DAY, counted


def by_day(settings: Settings) -> dict[int, int]:
    """Day -> impressions of all; each day once."""
    rows = [row for row in quality_table.read(settings).rows if row.segment == ALL]
    assert len({row.day for row in rows}) == len(rows)
    return {row.day - FIRST_DAY: row.impressions for row in rows}


def quality_id(settings: Settings) -> int | None:
    table = tables.find(settings, tables.QUALITY)
    return None if table is None else snapshots.main_id(table)


def test_an_import_writes_the_rows_that_its_files_say(tmp_path: Path) -> None:
    """Every number of every segment comes back from the table as it was counted."""
    settings = settings_in(tmp_path / "home")
    events = TRAFFIC.events(0)
    events = events.take(np.flatnonzero(events["ingest_us"] < (FIRST_DAY + 1) * 86_400_000_000))
    events = events.having(duplicate=np.zeros(len(events["profile_id"]), np.bool_))
    path = file_of(tmp_path / "0.parquet", events, 0)
    outcome = bring_in(settings, path, flags=MAPPING)
    assert outcome.extra["quality"]["days_recorded"] == 1
    counts = counted(events)
    dense = counts.dense()
    rows = {row.segment: row for row in quality_table.read(settings).rows}
    assert {Segment(None, "tv"), Segment(None, "phone", "8.13"), Segment("0")} <= rows.keys()
    for i, segment in enumerate(counts.segments):
        if segment in rows:
            row = rows[segment]
            assert [row.impressions, row.plays, row.profiles] == dense[i][[0, 1, 7]].tolist()
            assert row.largest == counts.largest[i][1]
    assert sum(rows[ALL].hours) == rows[ALL].impressions
    assert np.array_equal(rows[ALL].title_sample, counts.titles)


def test_the_same_again_writes_nothing_and_a_changed_day_once(tmp_path: Path) -> None:
    """A close with nothing to do leaves the table; a file more for one day replaces that day."""
    settings = settings_in(tmp_path / "home")
    bring_in(settings, *files_in(tmp_path, range(3)), flags=MAPPING)
    before, at = by_day(settings), quality_id(settings)
    done = run_close(local_context(settings, "close"), Request())
    assert (done.changed, quality_id(settings)) == (False, at)
    more = TRAFFIC.events(1).take(np.arange(50))
    more = more.having(profile_id=more["profile_id"] + 10**6)
    bring_in(settings, file_of(tmp_path / "more.parquet", more, 9), flags=MAPPING)
    after = by_day(settings)
    assert after == before | {1: before[1] + 50}
    run_close(local_context(settings, "close"), Request(again=True))
    assert by_day(settings) == after


def test_a_close_killed_before_the_days_are_counted_is_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw is committed, the counts are lost: the next close counts the days from the files."""
    settings = settings_in(tmp_path / "home")
    files = files_in(tmp_path, range(2))
    struck = []

    def dies(*_: object, **__: object) -> None:
        struck.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("batch.importing.run.record_and_review", dies)
        with pytest.raises(KeyboardInterrupt):
            bring_in(settings, *files, flags=MAPPING)
    assert struck
    assert quality_id(settings) is None
    done = run_close(local_context(settings, "close"), Request())
    assert done.extra["quality"]["days_recorded"] == 2
    read_again = by_day(settings)
    other = settings_in(tmp_path / "other")
    bring_in(other, *files, flags=MAPPING)
    assert read_again == by_day(other)


@pytest.mark.slow
def test_old_days_without_rows_are_named_and_backfilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade: close counts the last week only, one command the rest."""
    settings = settings_in(tmp_path / "home")
    with monkeypatch.context() as patch:
        patch.setattr("batch.importing.run.record_and_review", lambda job, done, fresh: done)
        bring_in(settings, *files_in(tmp_path, range(20)), flags=MAPPING)
    context = local_context(settings, "close")
    done = run_close(context, Request())
    assert done.extra["quality"]["days_lacking"] == 13
    assert any("impressions quality --backfill" in note for note in context.run.notes)
    dry, _ = run_quality(local_context(settings, "quality"), backfill=True, dry_run=True)
    assert (dry.counts["days_recorded"], len(by_day(settings))) == (13, 7)
    outcome, _ = run_quality(local_context(settings, "quality"), backfill=True)
    assert outcome.counts["days_recorded"] == 13
    assert sorted(by_day(settings)) == list(range(20))
    again, _ = run_quality(local_context(settings, "quality"), backfill=True)
    assert (again.counts["days_recorded"], again.changed) == (0, False)


def test_a_day_that_was_taken_back_is_no_row(tmp_path: Path) -> None:
    """After `land --forget` of its only file."""
    settings = settings_in(tmp_path / "home")
    files = files_in(tmp_path, range(4))
    bring_in(settings, *files, flags=MAPPING)
    forget(Forgetting(settings, start_run("forget"), Runner(), now_ms, [files[2]]))
    run_close(local_context(settings, "close"), Request())
    assert sorted(by_day(settings)) == [0, 1, 3]


def test_rejected_rows_name_the_app_version_that_sent_them(tmp_path: Path) -> None:
    """All titles null from one app version: its share of rejected rows is 1, and it is found."""
    settings = settings_in(tmp_path / "home")
    bring_in(settings, *files_in(tmp_path, range(8)), flags=MAPPING)
    bad = file_of(tmp_path / "bad.parquet", TRAFFIC.events(8), 8, titles_null=faults.NEWEST)
    outcome = bring_in(settings, bad, flags=MAPPING, look_first=False)
    rows = {
        row.segment: row for row in quality_table.read(settings).rows if row.day == FIRST_DAY + 8
    }
    mine = rows[Segment(None, None, "8.14")]
    assert (mine.impressions, mine.rejected) == (0, {"missing_title": mine.read})
    found = outcome.extra["quality"]["findings"]
    assert ("app_version=8.14", "share_rejected") in {(f["segment"], f["measure"]) for f in found}


@pytest.fixture
def with_a_finding(tmp_path: Path) -> Settings:
    """Three weeks, and a day without plays at their end."""
    settings = settings_in(tmp_path / "home")
    paths = files_in(tmp_path, range(22), {20: faults.fewer_plays(1)})
    bring_in(settings, *paths, flags=MAPPING)
    return settings


def test_a_finding_is_shown_by_status_and_accepted_by_name(
    with_a_finding: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands until somebody accepts it, with a reason that is kept in the table's history and
    outlives its snapshots; another finding cannot be accepted with it."""
    settings = with_a_finding
    said = read_lake(settings).quality
    assert said is not None
    [line] = said.blocking
    assert "plays_per_impression 0" in line
    id_ = line.split()[0]
    with pytest.raises(UsageError, match="no such finding"):
        run_accept(settings, "2026-01-01-000000", "why", "ann", "run")
    with pytest.raises(UsageError, match="expected why"):
        run_accept(settings, id_, " ", "ann", "run")
    arguments = {"finding": id_, "reason": "players were down", "by": "ann", "json": True}
    accept_command(settings=settings, **arguments)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["changed"]
    table = tables.require(settings, tables.QUALITY, "")
    commit = snapshots.by_id(table)[report["snapshots"]["quality"]]
    for properties in (commit.summary, table.properties):
        kept = json.loads(properties[PREFIX + id_])
        assert (kept["reason"], kept["by"]) == ("players were down", "ann")
    after = read_lake(settings).quality
    assert after is not None
    assert (after.blocking, after.accepted) == ((), 1)
    assert not run_accept(settings, id_, "again", "bob", "run").changed


def test_rows_stay_when_something_is_accepted(with_a_finding: Settings) -> None:
    """The commit of an acceptance adds and removes no row."""
    before = by_day(with_a_finding)
    _, verdict = run_quality(local_context(with_a_finding, "quality"))
    run_accept(with_a_finding, verdict.findings[0].id, "known", "ann", "run")
    assert by_day(with_a_finding) == before
