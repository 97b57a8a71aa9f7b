"""activate and rollback: one pointer, its backup, and marks that "latest" respects."""

import shutil
from pathlib import Path

import pytest

from bulkload.activate import activate
from bulkload.host import Host as HostDir
from bulkload.host_status import status
from bulkload.load import load
from bulkload.rollback import rollback
from impressions.core.errors import CorruptData, NotReady, Refused, UsageError
from impressions.formats.generation_paths import generation_id
from impressions.formats.pointer import Pointer
from tests.bulkload.world import NEW, NEW_MS, OLD, OLD_MS, WEEK_MS
from tests.fixed_clock import FixedClock

OLDEST_MS = OLD_MS - WEEK_MS
OLDEST = generation_id(OLDEST_MS)
NEXT_MS = NEW_MS + WEEK_MS
NEXT = generation_id(NEXT_MS)


def pointer(world):
    return Pointer.decode(world.paths.current.read_bytes())


@pytest.fixture
def three(empty):
    """OLDEST, OLD and NEW loaded and activated in turn; NEW answers."""
    for cutover_ms in (OLDEST_MS, OLD_MS, NEW_MS):
        manifest = empty.publish(cutover_ms)
        load(empty.settings, manifest.generation)
        activate(empty.settings, manifest.generation)
    return empty


def test_activation_points_and_remembers_the_one_before(world):
    """CURRENT: the new one, the old as backup, the time."""
    load(world.settings, NEW)
    swap = activate(world.settings, NEW, clock=FixedClock(77))
    assert (swap.action, swap.old, swap.generation, swap.previous) == ("activated", OLD, NEW, OLD)
    assert pointer(world) == Pointer(NEW, OLD, 77)


def test_activating_the_active_one_is_a_success_that_does_nothing(world):
    """Not even the time changes, and the backup is not lost."""
    before = world.snapshot()
    assert activate(world.settings, OLD).action == "already_active"
    assert world.snapshot() == before


def test_a_dry_run_points_nowhere(three):
    """Neither activate nor rollback."""
    before = three.snapshot()
    assert activate(three.settings, OLD, dry_run=True).action == "would_activate"
    swap = rollback(three.settings, dry_run=True)
    assert (swap.action, swap.generation, swap.marked) == ("would_roll_back", OLD, (NEW,))
    assert three.snapshot() == before


def test_only_a_loaded_generation_can_be_activated(world):
    """NEW is published but not loaded: the hint loads it."""
    before = world.snapshot()
    with pytest.raises(NotReady) as caught:
        activate(world.settings, NEW)
    assert (caught.value.reason, caught.value.hint) == (
        "not_loaded",
        f"impressions bulkload load {NEW}",
    )
    assert world.snapshot() == before


def test_a_generation_without_all_of_this_hosts_shards_is_not_activated(world):
    """Loaded when the host owned less: it would answer nothing for the rest."""
    load(world.with_host(shards="1"), NEW)
    with pytest.raises(NotReady, match=r"without shards \[0\]") as caught:
        activate(world.settings, NEW)
    assert caught.value.reason == "missing_shards"
    assert world.active() == OLD


def test_a_host_with_other_settings_refuses_what_it_loaded_before(world):
    """The slot length changed, and so the spec."""
    load(world.settings, NEW)
    changed = world.settings.model_copy(update={"slot_seconds": 3600})
    with pytest.raises(Refused) as caught:
        activate(changed, NEW)
    assert caught.value.reason == "wrong_spec"


@pytest.mark.parametrize("victim", ["manifest.json", "loaded.json", "db/shard=0/CURRENT", "db/sst"])
def test_what_rotted_after_its_load_is_not_activated(world, victim):
    """Records are sealed, and a few profiles are read before the pointer moves."""
    load(world.settings, NEW)
    home = world.paths.generation(NEW)
    for path in home.glob("db/*/*.sst") if victim == "db/sst" else [home / victim]:
        data = bytearray(path.read_bytes())
        data[: len(data) // 2] = bytes(len(data) // 2)
        path.write_bytes(data)
    before = world.snapshot()
    with pytest.raises(CorruptData) as caught:
        activate(world.settings, NEW)
    assert "--again" in caught.value.hint
    assert world.active() == OLD
    assert {k: v for k, v in before.items() if "/db/" not in k} == {
        k: v for k, v in world.snapshot().items() if "/db/" not in k
    }


def test_rollback_returns_to_the_backup_and_marks_what_it_left(three):
    """OLD answers, NEW is marked, and the next backup is OLDEST."""
    swap = rollback(three.settings)
    assert (swap.action, swap.old, swap.generation, swap.marked) == (
        "rolled_back", NEW, OLD, (NEW,),
    )  # fmt: skip
    assert (pointer(three).generation, pointer(three).previous) == (OLD, OLDEST)
    assert three.paths.rolled_back(NEW).exists()


def test_rolling_back_twice_goes_back_by_two(three):
    """A third rollback reports that there is no older one."""
    rollback(three.settings)
    assert rollback(three.settings).generation == OLDEST
    with pytest.raises(NotReady, match="no older usable generation") as caught:
        rollback(three.settings)
    assert caught.value.reason == "no_backup"
    assert pointer(three).generation == OLDEST


def test_rolling_back_by_two_at_once_marks_what_lies_between(three):
    """Passing OLD over is a judgement on OLD as well."""
    swap = rollback(three.settings, to=OLDEST)
    assert (swap.generation, swap.marked) == (OLDEST, (OLD, NEW))
    assert activate(three.settings, "latest").action == "already_active"


def test_a_rolled_back_generation_is_never_promoted_by_itself(three):
    """Neither load latest nor activate latest brings NEW back, and by name it needs a flag."""
    rollback(three.settings)
    assert load(three.settings, "latest").generation == OLD
    assert activate(three.settings, "latest").generation == OLD
    with pytest.raises(Refused) as caught:
        activate(three.settings, NEW)
    assert (caught.value.reason, pointer(three).generation) == ("rolled_back", OLD)
    assert activate(three.settings, NEW, even_if_rolled_back=True).action == "activated"
    assert not three.paths.rolled_back(NEW).exists()


def test_after_a_rollback_the_next_newer_generation_takes_over(three):
    """Load and activate work as ever, and the backup is the one that answered."""
    rollback(three.settings)
    three.publish(NEXT_MS)
    assert load(three.settings, "latest").generation == NEXT
    swap = activate(three.settings, "latest")
    assert (swap.old, swap.generation, swap.previous) == (OLD, NEXT, OLD)
    assert rollback(three.settings).generation == OLD


def test_the_mark_survives_loading_again(three):
    """A new copy of the same bytes is still the generation that was left."""
    rollback(three.settings)
    load(three.settings, NEW, again=True)
    assert three.paths.rolled_back(NEW).exists()
    assert activate(three.settings, "latest").generation == OLD


def test_a_rollback_to_the_active_or_to_a_marked_one_is_refused(three):
    """Both would surprise."""
    with pytest.raises(UsageError, match="is the active one"):
        rollback(three.settings, to=NEW)
    rollback(three.settings)
    with pytest.raises(Refused) as caught:
        rollback(three.settings, to=NEW)
    assert caught.value.reason == "rolled_back"
    assert pointer(three).generation == OLD


def test_a_backup_that_is_gone_is_passed_over(three):
    """Its directory was removed by hand: the next older one is the backup."""
    shutil.rmtree(three.paths.generation(OLD))
    assert rollback(three.settings).generation == OLDEST


def test_nothing_active_is_nothing_to_roll_back(empty):
    """And asking creates nothing."""
    with pytest.raises(NotReady) as caught:
        rollback(empty.settings)
    assert caught.value.reason == "nothing_active"
    assert not empty.settings.host_dir.exists()


# ---- half-finished swaps and damaged pointers


def test_a_swap_stopped_before_its_rename_changes_nothing(world, monkeypatch):
    """The pointer is the old one, no temporary file stays, and the next swap works."""
    load(world.settings, NEW)
    fired, rename = [], Path.rename

    def stop(self, target):
        if target.name != "CURRENT":
            return rename(self, target)
        fired.append(target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", stop)
        with pytest.raises(KeyboardInterrupt):
            activate(world.settings, NEW)
    assert fired == [world.paths.current]
    assert not (world.paths.root / "CURRENT.tmp").exists()
    assert world.active() == OLD
    assert activate(world.settings, NEW).generation == NEW


def test_a_temporary_pointer_left_by_a_kill_is_in_nobodys_way(world):
    """Half a CURRENT.tmp: status reads the real one, the next swap overwrites it."""
    load(world.settings, NEW)
    (world.paths.root / "CURRENT.tmp").write_bytes(b'{"activated_ms":17')
    assert status(world.settings).active == OLD
    activate(world.settings, NEW)
    assert world.active() == NEW
    assert not (world.paths.root / "CURRENT.tmp").exists()


def test_a_rollback_stopped_between_mark_and_pointer_is_explained_and_repeated(three, monkeypatch):
    """NEW is marked but answers; status reports it; a second rollback finishes."""

    def stop(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HostDir, "point", stop)
        with pytest.raises(KeyboardInterrupt):
            rollback(three.settings)
    assert pointer(three).generation == NEW
    assert "stopped half way" in status(three.settings).problems[0][0]
    assert activate(three.settings, "latest").generation == OLD
    assert pointer(three).generation == OLD


@pytest.mark.parametrize("damage", [b"", b"2026-11-15\n", b"\x00" * 180, b'{"generation":"x"}\n'])
def test_a_damaged_pointer_is_explained_and_repaired_by_activate(three, damage):
    """status names it, rollback and gc refuse to guess, activate writes a new one."""
    from bulkload.gc import gc

    three.paths.current.write_bytes(damage)
    host = status(three.settings)
    assert (host.active, host.damaged) == (None, True)
    assert "CURRENT" in host.problems[0][0]
    assert "activate" in host.problems[0][1]
    for verb in (rollback, gc):
        with pytest.raises(CorruptData):
            verb(three.settings)
    assert activate(three.settings, NEW).generation == NEW
    assert not status(three.settings).damaged


def test_every_flip_in_the_pointer_is_noticed(three):
    """One bit in each of its bytes."""
    good = three.paths.current.read_bytes()
    noticed = 0
    for i in range(len(good)):
        three.paths.current.write_bytes(good[:i] + bytes([good[i] ^ 1 << i % 8]) + good[i + 1 :])
        noticed += status(three.settings).damaged
    assert noticed == len(good) > 100


def test_a_pointer_to_a_directory_that_is_gone_is_explained(three):
    """status has the hint; rollback works, because the backup is loaded."""
    shutil.rmtree(three.paths.generation(NEW))
    message, hint = status(three.settings).problems[0]
    assert f"CURRENT names {NEW}, which is not loaded" in message
    assert f"load {NEW}" in hint
    assert rollback(three.settings).generation == OLD
