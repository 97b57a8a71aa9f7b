"""Housekeeping of a real lake: files that nothing names, of dead attempts, exports and imports."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from batch.housekeeping import removed as report
from batch.importing.run_directory import directory_of
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import snapshots
from batch.lake.data_files import live_files
from batch.lake.tables import EMA, RAW
from batch.lake.times_in_names import new_name
from impressions.core.errors import CorruptData
from impressions.formats.generation_paths import generation_id
from impressions.process.failpoint import VARIABLE, InjectedFailure
from impressions.storage.directory import Directory
from impressions.terminal.report import start_run
from tests.housekeeping.world import World, day, orphan, rules

FEW = {"keep_generations": 3, "keep_published": 2}
NOW = 37.3


def test_files_of_dead_attempts_go_and_those_of_running_ones_stay(world: World) -> None:
    """Seven days by both clocks; also beside the data: runs of an import of the cluster."""
    dead = [
        orphan(world, "a.parquet", written=20), orphan(world, "b.parquet", written=20, table=EMA),
        orphan(world, f"{new_name(day(20))}.parquet", written=20),
    ]  # fmt: skip
    alive = [
        orphan(world, "c.parquet", written=36), orphan(world, "notes.txt", written=1),
        orphan(world, f"{new_name(day(36))}.parquet", written=20),
    ]  # fmt: skip
    staged = world.home / "warehouse/impressions/raw/staging/9/run.parquet"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"x")
    os.utime(staged, (day(20) / 1000,) * 2)
    done = world.clean(NOW)
    assert rules(done)[report.ORPHANS, RAW] == 3
    assert [path.exists() for path in (*dead, staged)] == [False] * 4
    assert all(path.exists() for path in alive)


def test_a_store_whose_clock_is_behind_the_commits_keeps_its_orphans(world: World) -> None:
    """As after a restore of old times: files that are being written would look old."""
    left = orphan(world, "a.parquet", written=20)
    for path in (world.home / "warehouse/impressions/raw/metadata").glob("snap-*"):
        os.utime(path, (day(0) / 1000,) * 2)
    done = world.clean(NOW)
    assert (report.ORPHANS, RAW) not in rules(done)
    assert left.exists()


@pytest.mark.parametrize("kind", ["data/**/*.parquet", "metadata/*-m0.avro", "metadata/snap-*"])
def test_a_needed_file_that_is_gone_stops_every_deletion_of_files(world: World, kind: str) -> None:
    """The listing, or the names in it, cannot be trusted then."""
    named = {
        file.path.removeprefix("file://")
        for file in live_files(world.table(), snapshots.main_id(world.table()))
    }
    [main] = [
        s
        for s in world.table().metadata.snapshots
        if s.snapshot_id == snapshots.main_id(world.table())
    ]
    named |= {m.manifest_path.removeprefix("file://") for m in main.manifests(world.table().io)}
    named.add(main.manifest_list.removeprefix("file://"))
    lost = next(p for p in (world.home / "warehouse/impressions/raw").glob(kind) if str(p) in named)
    left = orphan(world, "dead.parquet", written=20)
    lost.rename(world.home / "lost")
    with pytest.raises(CorruptData) as refused:
        world.clean(NOW, keep_published=2)
    assert lost.name in refused.value.message
    assert refused.value.reason in ("listing_differs", "manifest_unreadable")
    (world.home / "lost").rename(lost)
    assert left.exists()
    world.check_whole()
    assert world.clean(NOW).changed
    assert not left.exists()


def test_files_that_are_committed_while_it_looks_are_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that took longer than a week: its files are old and nothing names them when they
    are listed; then it commits."""
    from batch.housekeeping import table as module

    true_commit = module._commit

    def slow(*arguments):
        world.bring_in(37.1)
        for path in (world.home / "warehouse").rglob("*.parquet"):
            os.utime(path, (day(1) / 1000,) * 2)
        return true_commit(*arguments)

    true_listed = module.stored_files.listed

    def listed(table):
        found = true_listed(table)
        monkeypatch.setattr(module, "_commit", slow)
        return found

    monkeypatch.setattr(module.stored_files, "listed", listed)
    world.clean(NOW, **FEW)
    world.check_whole()


def test_an_export_into_a_directory_that_is_being_removed_keeps_its_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the manifest went; the generation is exported again; the next run deletes what
    was listed then, and nothing of the new export."""
    monkeypatch.setenv(VARIABLE, f"removing-manifest:raise:1:{tmp_path / 'fired'}")
    with pytest.raises(InjectedFailure):
        world.clean(NOW, **FEW)
    monkeypatch.delenv(VARIABLE)
    gone = Path(world.settings.generations) / generation_id(day(23))
    left = {path.relative_to(gone) for path in gone.rglob("*.sst")}
    new = next(gone.rglob("*.sst")).with_name("00000-new.sst")
    new.write_bytes(b"being written")
    world.clean(NOW, **FEW)
    assert left
    assert {path.relative_to(gone) for path in gone.rglob("*") if path.is_file()} == {
        new.relative_to(gone)
    }


def test_dead_exports_and_imports_go(world: World) -> None:
    """An SST file without a manifest, an unfinished manifest, a directory of runs; those that are
    young stay."""
    home, exported = world.home, Path(world.settings.generations)
    directory = exported / generation_id(day(37))
    made = {
        directory / "shard=0/00000-dead.sst": 20, directory / "shard=0/00000-young.sst": 36,
        directory / ".manifest.json.123": 20, exported / "2026-01-03/shard=1/00000-dead.sst": 20,
        home / "tmp/import-a/run.parquet": 20, home / "tmp/import-b/run.parquet": 36,
    }  # fmt: skip
    for path, written in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        for one in (path, path.parent):
            os.utime(one, (day(written) / 1000,) * 2)
    said = rules(world.clean(NOW, dry_run=True))
    assert rules(world.clean(NOW)) == said
    assert {key: n for key, n in said.items() if key[1] == "home"} == {(report.IMPORTS, "home"): 1}
    assert said[report.EXPORTS, "generations_uri"] == 3
    assert {path.name for path in made if path.exists()} == {"00000-young.sst", "run.parquet"}
    assert not (home / "tmp/import-a").exists()


def test_an_import_that_lives_keeps_its_directory_whatever_clocks_say(world: World) -> None:
    """Its files look ten days old, as after a clock that was behind; it holds the lock. Neither
    housekeeping nor another import takes it away; once it ended, both would."""
    context = Context(world.settings, start_run("land"), Runner(), lambda: day(NOW))
    with directory_of(context, None) as living:
        (Path(living) / "run.parquet").write_bytes(b"x")
        for path in (living, f"{living}/run.parquet"):
            os.utime(path, (day(20) / 1000,) * 2)
        assert (report.IMPORTS, "home") not in rules(world.clean(NOW))
        with directory_of(context, None):
            assert Path(living, "run.parquet").exists()
        dead = world.home / "tmp/import-dead"
        shutil.copytree(living, dead)
        assert rules(world.clean(NOW))[report.IMPORTS, "home"] == 1
        shutil.copytree(living, dead)
        with directory_of(context, None):
            assert not dead.exists()


def test_a_directory_that_cannot_be_deleted_is_said_and_not_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = world.home / "tmp/import-dead"
    dead.mkdir(parents=True)
    os.utime(dead, (day(20) / 1000,) * 2)

    def refuse(path: object, onerror: Any) -> None:
        onerror(None, path, (OSError, OSError("not permitted"), None))

    monkeypatch.setattr("batch.housekeeping.leftovers.shutil.rmtree", refuse)
    outcome = world.clean(NOW)
    assert (report.IMPORTS, "home") not in rules(outcome)
    assert "not permitted" in capsys.readouterr().err


def test_on_a_full_disk_an_old_export_goes_without_its_copy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written: room is made first, by what needs no commit."""
    expected = rules(world.clean(NOW, dry_run=True, **FEW))[report.PUBLISHED, "generations_uri"]
    old = Path(world.settings.generations) / generation_id(day(23))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Directory, "replace", full)
    monkeypatch.setattr("batch.housekeeping.table.remove", full)
    with pytest.raises(OSError, match="No space left"):
        world.clean(NOW, **FEW)
    assert expected
    assert not old.exists()


def test_an_export_that_lacks_a_file_is_not_one_of_the_newest(world: World) -> None:
    """Two are kept. The newest has lost a file, and no host could load it: the third stays too."""
    names = sorted(path.name for path in Path(world.settings.generations).iterdir())
    exports = Path(world.settings.generations)
    next((exports / names[-1]).rglob("*.sst")).unlink()
    world.clean(NOW, **FEW)
    left = sorted(path.name for path in exports.iterdir() if (path / "manifest.json").exists())
    assert left == names[-3:]


def test_an_exported_generation_whose_manifest_is_damaged_is_left_alone(world: World) -> None:
    """And so is its generation in the table."""
    directory = Path(world.settings.generations) / generation_id(day(2))
    (directory / "manifest.json").write_bytes(b"{}")
    files = sorted(directory.rglob("*"))
    world.clean(NOW, **FEW)
    assert sorted(directory.rglob("*")) == files
    assert "gen_2026_01_02" in world.refs(EMA)


def test_the_report_is_bounded(world: World) -> None:
    """Fifty names of each rule, and how many more."""
    for n in range(120):
        orphan(world, f"{n:03}.parquet", written=20)
    done = world.clean(NOW, dry_run=True)
    [of_raw] = [
        o for o in done.extra["removed"] if (o["rule"], o["where"]) == (report.ORPHANS, RAW)
    ]
    assert (of_raw["count"], len(of_raw["names"]), of_raw["not_named"]) == (120, 50, 70)
    assert of_raw["bytes"] == 120_000
    json.dumps(done.extra)


def test_files_that_cannot_be_deleted_are_said_and_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go; nothing is reported as removed that is still there."""
    from batch.lake.durable import DurableFileIO

    files = [orphan(world, f"{n}.parquet", written=20) for n in range(3)]
    true_delete = DurableFileIO.delete

    def refusing(self, location):
        if str(location).endswith("/1.parquet"):
            raise PermissionError(13, "Permission denied")
        true_delete(self, location)

    monkeypatch.setattr(DurableFileIO, "delete", refusing)
    this = world.clean(NOW)
    assert rules(this)[report.ORPHANS, RAW] == 2
    assert [path.exists() for path in files] == [False, True, False]
    monkeypatch.undo()
    assert rules(world.clean(NOW))[report.ORPHANS, RAW] == 1
    assert not files[1].exists()
