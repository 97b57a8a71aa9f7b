"""gc removes what is older than the newest few, and what dead loads left; nothing in use."""

import pytest

from bulkload.activate import activate
from bulkload.gc import gc
from bulkload.load import load
from bulkload.rollback import rollback
from impressions.core.errors import Refused, UsageError
from impressions.formats.generation_paths import generation_id
from tests.bulkload.world import NEW_MS, WEEK_MS

CUTOVERS_MS = [NEW_MS - n * WEEK_MS for n in (4, 3, 2, 1, 0)]
A, B, C, D, E = map(generation_id, CUTOVERS_MS)


@pytest.fixture
def five(empty):
    """A to E loaded; E answers, D is its backup."""
    for cutover_ms in CUTOVERS_MS:
        load(empty.settings, empty.publish(cutover_ms).generation)
    activate(empty.settings, D)
    activate(empty.settings, E)
    return empty


def loaded(world):
    return [name for name in (A, B, C, D, E) if world.paths.loaded(name).exists()]


def test_the_newest_few_stay(five):
    """keep=3 by the settings; the report names what was removed and how many bytes."""
    report = gc(five.settings)
    assert [removal.name for removal in report.removed] == [A, B]
    assert report.size_bytes == sum(r.size_bytes for r in report.removed) > 10_000
    assert list(report.kept) == loaded(five) == [C, D, E]
    assert list(five.paths.loading.iterdir()) == []


def test_a_dry_run_says_the_same_and_removes_nothing(five):
    """Names and bytes as in the real run."""
    before = five.snapshot()
    planned = gc(five.settings, 1, dry_run=True)
    assert five.snapshot() == before
    done = gc(five.settings, 1)
    assert (planned.removed, planned.kept) == (done.removed, done.kept)


def test_the_active_one_and_its_backup_stay_however_old(five):
    """After going back to A from E, only those two are in use."""
    activate(five.settings, A)
    gc(five.settings, 1)
    assert loaded(five) == [A, E]


def test_a_newer_one_that_waits_for_its_activation_stays(five):
    """D answers, E is the future."""
    activate(five.settings, D)
    gc(five.settings, 1)
    assert loaded(five) == [D, E]


def test_rolled_back_ones_do_not_count_as_usable(five):
    """After two rollbacks C answers: keep=3 keeps three that could; D and E are newer."""
    rollback(five.settings)
    rollback(five.settings)
    gc(five.settings, 3)
    assert loaded(five) == [A, B, C, D, E]


def test_the_mark_of_a_removed_generation_stays(five):
    """Else "latest" would load and activate it again by itself."""
    rollback(five.settings)
    gc(five.settings, generation=E)
    assert loaded(five) == [A, B, C, D]
    assert five.paths.rolled_back(E).exists()
    assert load(five.settings, "latest").generation == D
    assert activate(five.settings, "latest").generation == D
    assert gc(five.settings, generation=E).removed == ()
    load(five.settings, E)
    with pytest.raises(Refused):
        activate(five.settings, E)


def test_what_a_dead_load_left_goes(five):
    """The dry run names it, too."""
    left = five.paths.loading / f"{E}.4194304"
    left.mkdir()
    (left / "half.sst").write_bytes(b"x" * 1000)
    planned = gc(five.settings, 5, dry_run=True)
    assert [(r.name, r.size_bytes) for r in planned.removed] == [(left.name, 1000)]
    assert left.exists()
    gc(five.settings, 5)
    assert not left.exists()


def test_a_directory_that_no_load_finished_goes(five):
    """A generation without its load record is none."""
    five.paths.loaded(B).unlink()
    report = gc(five.settings, 5)
    assert [(r.name, r.why) for r in report.removed] == [(B, "no load finished it")]
    assert not five.paths.generation(B).exists()


@pytest.mark.parametrize("name", [D, E])
def test_a_generation_in_use_is_not_removed_by_name(five, name):
    """The active one, or its backup."""
    with pytest.raises(Refused) as caught:
        gc(five.settings, generation=name)
    assert caught.value.reason == "in_use"
    assert name in loaded(five)


def test_keep_of_nothing_is_wrong_usage(five):
    """At least one stays."""
    with pytest.raises(UsageError, match="expected at least 1"):
        gc(five.settings, 0)


def test_a_host_without_a_directory_has_nothing_to_remove(empty):
    """And gets none."""
    assert gc(empty.settings).removed == ()
    assert not empty.settings.host_dir.exists()
