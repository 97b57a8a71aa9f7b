"""Housekeeping of a real lake: snapshots, refs and generations that go, and that all that anybody
needs is still there."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.compacting.window import survey
from batch.housekeeping import removed as report
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import generations, removal, snapshots
from batch.lake.conflict import Conflict
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import live_files
from batch.lake.tables import EMA, QUALITY, RAW, REJECTED
from batch.quality import table as quality_table
from batch.status.lake import read_lake
from impressions.core.errors import Refused
from impressions.formats.generation_paths import HostPaths, generation_id
from impressions.formats.pointer import Pointer
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from impressions.terminal.report import start_run
from tests.housekeeping.world import World, day, orphan, rules
from tests.lake.rows import rows

FEW = {"keep_generations": 3, "keep_published": 2}
NOW = 37.3


def state_of(world: World) -> dict[str, object]:
    """What is left: refs, snapshots and files."""
    named = {name: (world.refs(name), world.ids(name)) for name in (RAW, EMA, REJECTED, QUALITY)}
    files = {path for path in world.files() if path.suffix in (".parquet", ".avro", ".sst")}
    return {**named, "files": files}


def size(world: World) -> int:
    return sum(path.stat().st_size for path in world.files())


def test_a_dry_run_says_what_the_run_then_does(world: World) -> None:
    """And the run after that has nothing to do."""
    left = orphan(world, "dead.parquet", written=20)
    before, size_before = state_of(world), size(world)
    said = world.clean(NOW, dry_run=True, **FEW)
    assert state_of(world) == before
    assert not said.changed
    done = world.clean(NOW, **FEW)
    assert (done.changed, done.counts, done.extra) == (True, said.counts, said.extra)
    assert rules(done) == {
        (report.PUBLISHED, "generations_uri"): 4,
        (report.GENERATIONS, RAW): 3, (report.GENERATIONS, EMA): 3,
        (report.BRANCHES, RAW): 4,
        (report.SNAPSHOTS, RAW): 7, (report.SNAPSHOTS, EMA): 7, (report.SNAPSHOTS, QUALITY): 2,
        **{key: n for key, n in rules(done).items() if key[0] == report.FREED},
        (report.ORPHANS, RAW): 1,
    }  # fmt: skip
    assert not left.exists()
    # The metadata of two more commits came.
    assert size(world) <= size_before - done.counts["bytes"] + 100_000
    world.check_whole()
    again = world.clean(NOW, **FEW)
    assert (again.changed, rules(again)) == (False, {})


def test_what_generations_need_is_there_afterwards(world: World) -> None:
    """Their rows; the snapshot of raw that each was computed from; its window in raw's newest."""

    def windows() -> dict[int, tuple[str, str]]:
        raw, known = world.table(), generations.history(world.table(EMA))
        return {
            cutover_ms: tuple(
                survey(raw, at, cutover_ms, world.settings.spec).digest
                for at in (one.source_id, snapshots.main_id(raw) or 0)
            )
            for cutover_ms, one in known.tagged.items()
        }  # fmt: skip

    before = windows()
    world.clean(NOW, **FEW)
    assert sorted(windows()) == [day(23), day(30), day(37)]
    assert windows().items() <= before.items()
    ema = world.table(EMA)
    for one in generations.history(ema).tagged.values():
        [file] = live_files(ema, one.snapshot_id)
        [read] = rows_of(file, ema.io, ema.schema(), ["profile_id"])
        assert read["profile_id"].to_pylist() == [(one.cutover_ms - day(0)) // 86_400_000]
    assert [one.lacks for one in read_lake(world.settings).generations] == [0, 0, 0]


def test_rows_counts_and_claims_are_as_before(world: World) -> None:
    """Raw, rejected, quality; and land, close and the judging of days go on."""
    said = [(name, rows(world.settings, name)) for name in (RAW, REJECTED)]
    kept, states = quality_table.read(world.settings), snapshots.state(world.table())
    world.clean(NOW, **FEW)
    assert [(name, rows(world.settings, name)) for name in (RAW, REJECTED)] == said
    assert quality_table.read(world.settings).rows[0].files == kept.rows[0].files
    assert snapshots.state(world.table()) == states
    world.bring_in(43.5)
    context = Context(world.settings, start_run("close"), Runner(), lambda: day(44))
    assert run_close(context, Request(again=True)).counts["rows"] == len(said[0][1])
    assert len(rows(world.settings)) == len(said[0][1]) + 1
    world.check_whole()


def test_offsets_survive_though_all_that_is_older_goes(world: World) -> None:
    """The landing lies below closes and commits of others; a year later it still says them."""
    world.landing(38, offset=70)
    world.landing(39, offset=77)
    with world.on(39.5):
        world.table().append(world.table().scan(limit=0).to_arrow())  # of somebody else
    context = Context(world.settings, start_run("close"), Runner(), lambda: day(40))
    with world.on(40):
        run_close(context, Request(again=True))
    with world.on(400):
        quality_table.replace(world.settings, {0: ()}, "run")
    said = snapshots.state(world.table())
    assert said.landed is not None
    assert [c.next_offset for c in said.landed.cursors] == [77, 77]
    done = world.clean(400, **FEW)
    # How far the topic is landed is a witness: day 39. By it, only day 25 and before are old.
    assert done.extra["time"]["agreed"] == "2026-02-08T00:00:00Z"
    assert snapshots.state(world.table()) == said
    world.landing(400, offset=80)
    context = Context(world.settings, start_run("close"), Runner(), lambda: day(401))
    with world.on(401):
        run_close(context, Request(again=True))
    said = snapshots.state(world.table())
    world.clean(401, **FEW)
    assert snapshots.state(world.table()) == said
    world.check_whole()


@pytest.mark.parametrize(
    ("clock", "same"), [(37.3 + 3650, True), (37.3 - 3650, False), (0, False)]
)  # fmt: skip
def test_a_clock_that_is_wrong_by_years_deletes_nothing_more(
    world: World, clock: float, same: bool
) -> None:
    """Ahead: as much as on the right day, by the newest commit. Behind: nothing by its age."""
    orphan(world, "running.parquet", written=36)
    dead = orphan(world, "dead.parquet", written=20)
    right = rules(world.clean(NOW, dry_run=True, **FEW))
    wrong = rules(world.clean(clock, dry_run=True, **FEW))
    assert wrong == right if same else not wrong.keys() & {
        (rule, RAW) for rule in (report.SNAPSHOTS, report.FREED, report.ORPHANS, report.BRANCHES)
    }  # fmt: skip
    world.clean(clock, **FEW)
    world.check_whole()
    assert dead.exists() != same
    assert world.refs(EMA) == {"gen_2026_01_23", "gen_2026_01_30", "gen_2026_02_06"}


POINTS = (
    "removing-marked", "removing-manifest", "removing-file", "after-published", "before-removal",
    "after-removal", "delete-file", "after-raw", "after-ema",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_stopped_anywhere_the_next_run_finishes_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """What is left is what one run would have left."""
    fired = tmp_path / "fired"
    monkeypatch.setenv(VARIABLE, f"{point}:raise:1:{fired}")
    with pytest.raises(InjectedFailure):
        world.clean(NOW, **FEW)
    assert hits(fired) == 1
    world.check_whole()
    monkeypatch.delenv(VARIABLE)
    world.clean(NOW, **FEW)
    assert rules(world.clean(NOW, **FEW)) == {}
    world.check_whole()
    assert world.refs(EMA) == {"gen_2026_01_23", "gen_2026_01_30", "gen_2026_02_06"}
    assert len(world.ids()) == 5
    assert sorted(p.name for p in Path(world.settings.generations).iterdir()) == [
        generation_id(day(30)), generation_id(day(37))
    ]  # fmt: skip


def test_a_landing_between_look_and_commit_is_neither_lost_nor_in_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is refused, decided again, and made on top of the landing."""
    refused: list[Conflict] = []
    true_remove = removal.remove

    def late(table, refs, ids):
        if not refused:
            world.bring_in(37.1)
        try:
            true_remove(table, refs, ids)
        except Conflict as error:
            refused.append(error)
            raise

    monkeypatch.setattr("batch.housekeeping.table.remove", late)
    before = len(rows(world.settings))
    assert world.clean(NOW, **FEW).changed
    assert len(refused) == 1
    assert len(rows(world.settings)) == before + 1
    world.check_whole()


def test_a_tag_that_comes_between_look_and_commit_holds_its_snapshot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_remove = removal.remove
    held: list[int] = []

    def late(table, refs, ids):
        if not held:
            held.append(min(ids))
            world.table(table.name()[-1]).manage_snapshots().create_tag(held[0], "mine").commit()
        true_remove(table, refs, ids)

    monkeypatch.setattr("batch.housekeeping.table.remove", late)
    world.clean(NOW, **FEW)
    assert "mine" in world.refs()
    assert held[0] in world.ids()
    world.check_whole()


def activate(world: World, generation: int, previous: int) -> None:
    names = [generation_id(day(n)) for n in (generation, previous)]
    current = HostPaths(world.settings.host_dir).current
    current.parent.mkdir(parents=True, exist_ok=True)
    current.write_bytes(Pointer(*names, day(3)).encode())


def test_what_the_host_answers_from_or_would_roll_back_to_stays(world: World) -> None:
    """The two oldest generations, exported and in the table."""
    activate(world, generation=9, previous=2)
    world.clean(NOW, **FEW)
    names = sorted(path.name for path in Path(world.settings.generations).iterdir())
    assert names == [generation_id(day(n)) for n in (2, 9, 30, 37)]
    assert world.refs(EMA) == {
        f"gen_{generation_id(day(n)).replace('-', '_')}" for n in (2, 9, 23, 30, 37)
    }  # fmt: skip


def test_a_pointer_that_cannot_be_read_stops_it(world: World) -> None:
    """Nothing goes, for nobody knows what the host uses."""
    activate(world, 9, 2)
    HostPaths(world.settings.host_dir).current.write_bytes(b"{}")
    before = state_of(world)
    with pytest.raises(Refused) as refused:
        world.clean(NOW, **FEW)
    assert refused.value.reason == "pointer_unreadable"
    assert state_of(world) == before


def test_refs_of_other_people_hold_what_they_name(world: World) -> None:
    table = world.table()
    oldest = min(table.metadata.snapshots, key=lambda s: s.timestamp_ms).snapshot_id
    manage = table.manage_snapshots()
    manage.create_tag(oldest, "for-training").create_branch(oldest, "audit_mine").commit()
    with world.on(37.2):
        world.table().manage_snapshots().remove_tag("src_2026_01_02").commit()
    world.clean(NOW, **FEW)
    assert {"for-training", "audit_mine"} <= world.refs()
    assert oldest in world.ids()
    world.check_whole()


def test_a_home_without_tables_has_nothing_to_do(empty: World) -> None:
    done = empty.clean(1)
    assert (done.changed, done.extra["removed"]) == (False, [])
