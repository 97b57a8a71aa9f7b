"""Loading: what arrives, when nothing is done, and what is repaired."""

import os

import pytest

from bulkload.activate import activate
from bulkload.host import Host as HostDir
from bulkload.load import load
from bulkload.rollback import rollback
from impressions.core.errors import NotReady, Refused, UsageError
from impressions.core.shard import shard_of
from impressions.formats.pointer import Loaded
from impressions.rocksdb import generation_store
from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD, OLD_MS, PARTITIONS, WEEK_MS
from tests.fixed_clock import FixedClock
from tests.generations import blocks_of


def stored(paths, generation):
    """Everything in a loaded generation's store."""
    shards = [int(p.name.partition("=")[2]) for p in paths.store(generation).iterdir()]
    db = generation_store.open_read_only(paths.store(generation), shards)
    try:
        return {int.from_bytes(key, "big"): value for key, value in db.scan()}
    finally:
        db.close()


def test_every_published_block_arrives_byte_for_byte(world):
    """Load installs the store, the published manifest and the record of the load."""
    report = load(world.settings, NEW, clock=FixedClock(123))
    assert (report.action, report.profiles, report.shards) == ("loaded", 24, (0, 1))
    assert stored(world.paths, NEW) == blocks_of(EVENTS, NEW_MS)
    published = (world.published / NEW / "manifest.json").read_bytes()
    assert world.paths.manifest(NEW).read_bytes() == published
    loaded = Loaded.decode(world.paths.loaded(NEW).read_bytes())
    assert (loaded.generation, loaded.shards, loaded.rows, loaded.loaded_ms) == (
        NEW,
        (0, 1),
        24,
        123,
    )


def test_loading_does_not_activate_and_leaves_nothing_in_loading(world):
    """CURRENT is untouched; the work directory is gone."""
    before = world.paths.current.read_bytes()
    load(world.settings, NEW)
    assert world.paths.current.read_bytes() == before
    assert list(world.paths.loading.iterdir()) == []


def test_loading_twice_is_a_success_that_does_nothing(world):
    """The second load reports so and changes no byte."""
    load(world.settings, NEW)
    before = world.snapshot()
    assert load(world.settings, NEW).action == "already_loaded"
    assert world.snapshot() == before


def test_a_dry_run_checks_and_changes_nothing(world):
    """It would load; no file, lock or directory appears."""
    before = world.snapshot()
    report = load(world.settings, NEW, dry_run=True)
    assert (report.action, report.files) == ("would_load", 2)
    assert world.snapshot() == before
    assert load(world.settings, OLD, dry_run=True).action == "already_loaded"


def test_a_dry_run_on_a_fresh_host_does_not_create_its_directory(empty):
    """Nothing was written, so nothing is there."""
    empty.publish(NEW_MS)
    assert load(empty.settings, NEW, dry_run=True).action == "would_load"
    assert not empty.settings.host_dir.exists()


def test_a_host_loads_only_its_own_shards(world):
    """Shard 1's profiles arrive, shard 0's do not; rows count this host's."""
    settings = world.with_host(shards="1")
    report = load(settings, NEW)
    mine = {p for p in blocks_of(EVENTS, NEW_MS) if shard_of(p, PARTITIONS) == 1}
    assert set(stored(world.paths, NEW)) == mine
    assert 0 < len(mine) < 24
    assert (report.profiles, report.shards) == (len(mine), (1,))


def test_a_host_whose_shards_grew_loads_again(world):
    """From shard 1 to both: the directory is replaced; and from both to one nothing is done."""
    load(world.with_host(shards="1"), NEW)
    assert load(world.settings, NEW).action == "loaded"
    assert set(stored(world.paths, NEW)) == set(blocks_of(EVENTS, NEW_MS))
    assert load(world.with_host(shards="1"), NEW).action == "already_loaded"
    assert list(world.paths.loading.iterdir()) == []


def test_a_host_without_any_profile_of_a_generation_loads_an_empty_store(empty):
    """Missing is not an error: shard 1 has no profile here."""
    blocks = {p: b for p, b in blocks_of(EVENTS, NEW_MS).items() if shard_of(p, PARTITIONS) == 0}
    empty.publish(NEW_MS, blocks=blocks)
    settings = empty.with_host(shards="1")
    assert load(settings, NEW).profiles == 0
    activate(settings, NEW)
    assert stored(empty.paths, NEW) == {}


def test_latest_is_the_newest_complete_generation(world):
    """A newer directory without a manifest is an export under way, not a generation."""
    (world.published / "2026-11-22" / "shard=0").mkdir(parents=True)
    assert load(world.settings, "latest").generation == NEW


def test_latest_of_nothing_says_what_to_run_first(empty):
    """No directory at all, or no complete one."""
    with pytest.raises(NotReady, match="no complete generation") as caught:
        load(empty.settings, "latest")
    assert (caught.value.reason, caught.value.exit_code) == ("nothing_published", 5)
    assert "export" in caught.value.hint


@pytest.mark.parametrize("name", ["../../etc", "gen-5", "2026-13-01", "2026-11-15/.."])
def test_a_name_that_is_no_generation_is_wrong_usage(world, name):
    """A name becomes a path, so it is checked first."""
    before = world.snapshot()
    with pytest.raises(UsageError, match="expected a name such as"):
        load(world.settings, name)
    assert world.snapshot() == before


def test_another_generation_under_a_loaded_name_is_refused(world):
    """A name means one content; the hint says how to replace it, and that works."""
    load(world.settings, NEW)
    world.rewrite(NEW, created_ms=5)
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        load(world.settings, NEW)
    assert caught.value.reason == "other_manifest"
    assert f"load {NEW} --again" in caught.value.hint
    assert world.snapshot() == before
    assert load(world.settings, NEW, again=True).action == "loaded"
    assert load(world.settings, NEW).action == "already_loaded"


def test_again_replaces_what_is_loaded(world):
    """The repair of damage: a new store replaces the old one."""
    load(world.settings, NEW)
    sst = next(world.paths.store(NEW).glob("*/*.sst"))
    sst.write_bytes(b"rotten")
    assert load(world.settings, NEW).action == "already_loaded"
    assert load(world.settings, NEW, again=True).action == "loaded"
    assert stored(world.paths, NEW) == blocks_of(EVENTS, NEW_MS)


def test_a_damaged_load_record_is_replaced_by_loading_again(world):
    """What cannot be read does not count as loaded."""
    load(world.settings, NEW)
    world.paths.loaded(NEW).write_bytes(b"{}")
    assert load(world.settings, NEW).action == "loaded"
    assert Loaded.decode(world.paths.loaded(NEW).read_bytes()).rows == 24


def test_what_a_dead_load_left_is_cleared_by_the_next(world):
    """Its directory goes, whatever is in it."""
    left = world.paths.loading / f"{OLD}.4194304"
    (left / "sst").mkdir(parents=True)
    (left / "sst" / "half.sst").write_bytes(b"x" * 100)
    load(world.settings, NEW)
    assert list(world.paths.loading.iterdir()) == []


def test_a_replacement_that_died_between_its_two_renames_is_undone(world):
    """The old directory was moved away and not replaced: the next load moves it back."""
    before = stored(world.paths, OLD)
    aside = world.paths.loading / f"{OLD}.4194304.replaced"
    world.paths.generation(OLD).rename(aside)
    load(world.settings, NEW)
    assert stored(world.paths, OLD) == before
    assert list(world.paths.loading.iterdir()) == []


def test_two_loads_at_once_do_not_collide(world, monkeypatch):
    """The second learns who is at work and changes nothing."""
    monkeypatch.setattr("bulkload.host_locks.LOCK_WAIT_S", {"load": 0.05, "pointer": 0.05})
    with HostDir(world.settings.host_dir).locks.hold("load"):
        before = world.snapshot()
        with pytest.raises(NotReady, match=f"process {os.getpid()}") as caught:
            load(world.settings, NEW)
        assert (caught.value.reason, world.snapshot()) == ("busy", before)
    assert load(world.settings, NEW).action == "loaded"


def test_a_rollback_does_not_wait_for_a_load(world):
    """The pointer has a lock of its own."""
    load(world.settings, NEW)
    activate(world.settings, NEW)
    with HostDir(world.settings.host_dir).locks.hold("load"):
        assert rollback(world.settings).generation == OLD


def test_many_files_of_a_shard_become_one_store(empty):
    """Three files per shard, their ranges disjoint, in one ingest."""
    manifest = empty.publish(OLD_MS - WEEK_MS, files_per_shard=3)
    report = load(empty.settings, manifest.generation)
    assert report.files == len(manifest.files) == 6
    assert stored(empty.paths, manifest.generation) == blocks_of(EVENTS, OLD_MS - WEEK_MS)


def test_everything_is_on_the_disk_before_the_record_of_the_load(world, monkeypatch):
    """Every file and directory of the store is synced before loaded.json is written."""
    synced, fsync = [], os.fsync

    def noted(descriptor):
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    load(world.settings, NEW)
    store = world.paths.store(NEW)
    names = ["db", *(f"db/{path.relative_to(store)}" for path in store.rglob("*"))]
    before = synced[: next(i for i, path in enumerate(synced) if "loaded.json" in path)]
    assert [name for name in names if not any(path.endswith(name) for path in before)] == []
    assert len(names) > 2 * PARTITIONS
