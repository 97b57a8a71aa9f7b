"""The gate of `compact`: a bad day holds a generation back until it is repaired or accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.compact import compact
from batch.compacting.job import Compacting
from batch.lake import generations, snapshots, tables
from batch.quality import table as quality_table
from batch.status.accept import run_accept
from impressions.core.errors import AuditFailed
from impressions.core.spec import DAY_MS
from impressions.terminal.report import Outcome, start_run
from tests.integration.conftest import Lake
from tests.lake.rows import bring_in
from tests.quality import faults
from tests.quality.lake import MAPPING, files_in, settings_in
from tests.quality.traffic import FIRST_DAY

pytestmark = pytest.mark.spark

DAYS = 24
CUTOVER_MS = (FIRST_DAY + DAYS) * DAY_MS


@pytest.fixture
def ours(empty: Lake, tmp_path: Path) -> Lake:
    """An empty warehouse in which small days are judged."""
    quality = settings_in(tmp_path).quality
    audits = empty.settings.audits.model_copy(update={"sample_profiles": 0})
    settings = empty.settings.model_copy(update={"quality": quality, "audits": audits})
    return Lake(settings, empty.spark)


def compacted(lake: Lake, *, dry_run: bool = False) -> Outcome:
    this = start_run("compact")
    done = compact(Compacting(lake.settings, CUTOVER_MS, this), dry_run=dry_run)
    if done.changed:  # a bound that is not the default is never silent
        assert any("quality.min_impressions = 100" in note for note in this.notes)
    return done


@pytest.mark.slow
@pytest.mark.representative
def test_an_ordinary_window_passes_and_a_bad_day_in_it_does_not(ours: Lake, tmp_path: Path) -> None:
    """Plays are gone on the day before the cutover's: nothing is computed or published, the finding
    is named. Accepted by name it is published, and the generation says who accepted what."""
    bring_in(
        ours.settings,
        *files_in(tmp_path, range(DAYS), {DAYS - 2: faults.fewer_plays(1)}),
        flags=MAPPING,
    )
    for dry_run in (True, False):
        with pytest.raises(AuditFailed, match="plays_per_impression 0, expected") as refused:
            compacted(ours, dry_run=dry_run)
        assert (refused.value.reason, refused.value.exit_code) == ("quality_findings", 6)
    ema = tables.find(ours.settings, tables.EMA)
    assert ema is not None
    assert snapshots.refs(ema) == {}
    id_ = str(refused.value.hint).split("impressions accept ")[1].split()[0]
    run_accept(ours.settings, id_, "players were down in all markets", "ann", "run")
    done = compacted(ours)
    assert done.extra["status"] == "published"
    [line] = done.extra["accepted"]
    assert id_ in line
    assert "by ann" in line
    main = generations.history(tables.find(ours.settings, tables.EMA)).main
    assert main is not None
    assert main.accepted == (line,)


@pytest.mark.slow
def test_days_without_rows_are_counted_before_they_are_judged(
    ours: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import's counts were lost: compact counts the days and publishes an ordinary window."""
    with monkeypatch.context() as patch:
        patch.setattr("batch.importing.run.record_and_review", lambda job, done, fresh: done)
        bring_in(ours.settings, *files_in(tmp_path, range(DAYS)), flags=MAPPING)
    assert quality_table.read(ours.settings).rows == ()
    assert compacted(ours).extra["status"] == "published"
    assert len({row.day for row in quality_table.read(ours.settings).rows}) == DAYS


def test_days_that_are_missing_before_the_cutover_hold_it_back(ours: Lake, tmp_path: Path) -> None:
    """Half a week at the end: no file came, and raw is called complete all the same."""
    bring_in(
        ours.settings,
        *files_in(tmp_path, range(DAYS - 4)),
        flags=MAPPING,
        valid_through_ms=CUTOVER_MS,
    )
    with pytest.raises(AuditFailed, match=r"2026-01-21 .. 2026-01-24 all: impressions 0"):
        compacted(ours)


def test_the_published_generation_stays_published(ours: Lake, tmp_path: Path) -> None:
    """The same date again is a success without a look at the days."""
    bring_in(ours.settings, *files_in(tmp_path, range(DAYS)), flags=MAPPING)
    assert compacted(ours).extra["status"] == "published"
    assert compacted(ours).extra["status"] == "already published"
