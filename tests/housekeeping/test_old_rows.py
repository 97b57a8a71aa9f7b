"""Rows of raw beyond 400 days: gone from the newest snapshot, and no row that a window needs."""

from __future__ import annotations

import shutil

import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.compacting.window import survey
from batch.housekeeping import removed as report
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import generations, snapshots
from batch.lake.tables import EMA, QUALITY, RAW, REJECTED
from batch.landing import shortfall
from batch.quality import table as quality_table
from impressions.core.spec import DAY_MS
from impressions.process.failpoint import VARIABLE, InjectedFailure
from impressions.terminal.report import start_run
from tests.housekeeping.world import DAY0_MS, World, day, rules
from tests.lake.rows import rows

NOW = 461.5


@pytest.fixture
def world(long_year: World):
    saved = long_year.home.with_name("as-made")
    if not saved.exists():
        shutil.copytree(long_year.home, saved)
    yield long_year
    shutil.rmtree(long_year.home)
    shutil.copytree(saved, long_year.home)


def days(world: World, name: str = RAW) -> list[int]:
    """Days of ingest of the rows."""
    found = [row["ingest_slot"].timestamp() * 1000 for row in rows(world.settings, name)]
    return sorted(round(ms - DAY0_MS) // DAY_MS for ms in found)


def test_old_rows_go_and_every_window_that_stays_is_whole(world: World) -> None:
    """Raw is valid through noon of day 460, less 400 is day 60: rows of days 1 and 59 go. The
    generation of day 430 rests on days from 64 on. What was counted of the days stays."""
    raw, known = world.table(), generations.history(world.table(EMA))
    before = {c: survey(raw, snapshots.main_id(raw), c, world.settings.spec).digest
              for c in known.tagged}  # fmt: skip
    counted = {row.day for row in quality_table.read(world.settings).rows}
    said, state = world.clean(NOW, dry_run=True), snapshots.state(raw)
    assert days(world) == [1, 59, 60, 460]
    done = world.clean(NOW)
    assert done.extra["removed"] == said.extra["removed"]
    assert (rules(done)[report.ROWS, RAW], rules(done)[report.ROWS, REJECTED]) == (2, 1)
    assert (days(world), days(world, REJECTED)) == ([60, 460], [460])
    raw = world.table()
    assert before == {c: survey(raw, snapshots.main_id(raw), c, world.settings.spec).digest
                      for c in known.tagged}  # fmt: skip
    assert snapshots.state(raw).valid_through_ms == state.valid_through_ms
    world.check_whole()
    assert rules(world.clean(NOW)) == {}
    context = Context(world.settings, start_run("close"), Runner(), lambda: day(462))
    run_close(context, Request())
    assert {row.day for row in quality_table.read(world.settings).rows} == counted
    assert world.ids(QUALITY)


def test_the_files_go_once_no_snapshot_can_be_read_that_names_them(world: World) -> None:
    """Fourteen days later; the sources of generations still have them, until these are old."""
    world.clean(NOW)
    world.bring_in(477.5)
    assert world.clean(478).changed
    world.check_whole()
    data = sorted((world.home / "warehouse/impressions/raw/data").rglob("*.parquet"))
    assert len(data) == 5
    for n in (478, 479):
        world.publish(n)
    world.bring_in(500)
    world.clean(501, keep_generations=2)
    world.check_whole()
    left = sorted((world.home / "warehouse/impressions/raw/data").rglob("*.parquet"))
    assert len(left) == 3
    assert days(world) == [460, 477, 500]


def test_a_topics_offsets_stay_and_no_row_is_missed(world: World) -> None:
    """Raw is valid through day 461 by it, so the row of day 60 goes too. The next landing counts
    what is missing since the last one: nothing of these days is."""
    world.landing(461, offset=70)
    world.clean(NOW)
    state = snapshots.state(world.table())
    assert days(world) == [460]
    assert state.landed is not None
    assert [cursor.next_offset for cursor in state.landed.cursors] == [70, 70]
    assert shortfall.suspicious(state)
    assert shortfall.find(world.table(), state, world.settings.spec) == {}


@pytest.mark.parametrize("clock", [NOW + 3650, NOW - 100, 0])
def test_a_clock_that_is_wrong_deletes_no_row_more(world: World, clock: float) -> None:
    """By the commits it is day 461 at most; by a clock that is behind, nothing is 400 days old."""
    world.clean(clock)
    assert days(world) == ([60, 460] if clock > NOW else [1, 59, 60, 460])


def test_commits_and_clock_on_a_wrong_day_delete_no_row_more(world: World) -> None:
    """A host that is ten years ahead imported, then cleans: the newest cutover still says 461."""
    with world.on(NOW + 3650):
        quality_table.replace(world.settings, {0: ()}, "run")
    world.clean(NOW + 3650)
    assert days(world) == [60, 460]


def test_stopped_around_the_commit_the_next_run_finishes(
    world: World, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, point in enumerate(("before-publish", "after-publish")):
        monkeypatch.setenv(VARIABLE, f"{point}:raise:1:{tmp_path / str(n)}")
        with pytest.raises(InjectedFailure):
            world.clean(NOW)
    monkeypatch.delenv(VARIABLE)
    world.clean(NOW)
    assert (days(world), days(world, REJECTED)) == ([60, 460], [460])
    world.check_whole()
