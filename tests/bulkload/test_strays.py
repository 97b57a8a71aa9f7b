"""Strays in a host's directory are reported and ignored, and no command stops because of them."""

import json

import pytest

from bulkload.activate import activate
from bulkload.cli import app
from bulkload.gc import gc
from bulkload.host_status import status
from bulkload.listing import listing
from bulkload.load import load
from bulkload.rollback import rollback
from bulkload.verify import verify_host
from impressions.core.errors import Refused
from impressions.process.command import main
from tests.bulkload.world import NEW, OLD

DEAD = f"{OLD}.4194305"


@pytest.fixture
def elsewhere(tmp_path):
    """A directory outside the host's."""
    directory = tmp_path / "elsewhere"
    (directory / "sub").mkdir(parents=True)
    (directory / "precious").write_text("not ours")
    (directory / "sub" / "too").write_text("not ours either")
    return directory


def untouched(elsewhere):
    return [p.name for p in sorted(elsewhere.rglob("*"))] == ["precious", "sub", "too"]


def litter(world, elsewhere):
    """One of each kind, in both directories; named like ours and not."""
    paths = world.paths
    paths.loading.mkdir(exist_ok=True)
    (paths.loading / "notes.txt").write_text("mine")
    (paths.loading / f"{DEAD}").write_text("a file with a load's name")
    (paths.loading / f"{DEAD}.replaced").symlink_to(elsewhere)
    (paths.loading / "dangling").symlink_to(elsewhere / "nothing")
    (paths.loading / "lost+found").mkdir()
    (paths.generations / "2026-01-04").write_text("a file with a generation's name")
    (paths.generations / "2026-01-11").symlink_to(elsewhere)
    (paths.generations / "lost+found").mkdir()
    return {*paths.loading.iterdir()} | {
        paths.generations / name for name in ("2026-01-04", "2026-01-11", "lost+found")
    }


def test_every_verb_goes_on_and_names_them(world, elsewhere, capsys):
    """Load, activate, gc, verify, list, rollback; the paths are there afterwards."""
    strays = litter(world, elsewhere)
    assert load(world.settings, NEW).action == "loaded"
    assert activate(world.settings, NEW).generation == NEW
    assert gc(world.settings, 1).removed == ()
    assert verify_host(world.settings, None).ok
    assert [item.generation for item in listing(world.settings)] == [OLD, NEW]
    assert rollback(world.settings).generation == OLD
    host = status(world.settings)
    assert [g.generation for g in host.generations] == [OLD, NEW]
    assert not host.damaged
    named = "\n".join(message for message, _ in host.problems)
    assert [path for path in strays if str(path) not in named] == []
    assert {path for path in strays if path.exists() or path.is_symlink()} == strays
    assert untouched(elsewhere)
    sets = ["--set", f"home={world.settings.home}", "--set", "partitions=2"]
    for verb in (["list"], ["gc"], ["verify"], ["load", OLD]):
        assert main(app, [*verb, *sets, "--json"], "bulkload") == 0
        output = capsys.readouterr()
        json.loads(output.out)
        assert [path for path in strays if str(path) not in output.err] == [], verb


def test_a_dead_load_is_cleared_beside_them_and_links_in_it_are_not_followed(world, elsewhere):
    """Only what is named and made as a load makes it goes, and what its links point at stays."""
    litter(world, elsewhere)
    dead = world.paths.loading / f"{NEW}.4194306"
    (dead / "sst").mkdir(parents=True)
    (dead / "sst" / "link").symlink_to(elsewhere)
    assert [removal.name for removal in gc(world.settings).removed] == [dead.name]
    assert not dead.exists()
    assert untouched(elsewhere)


def test_a_loading_directory_that_is_a_link_is_not_cleared(world, elsewhere):
    """loading/ leads elsewhere, where directories have the names of loads."""
    (elsewhere / DEAD).mkdir()
    world.paths.loading.rmdir()
    world.paths.loading.symlink_to(elsewhere)
    assert gc(world.settings).removed == ()
    assert load(world.settings, NEW).action == "loaded"
    assert (elsewhere / DEAD).is_dir()
    assert str(world.paths.loading) in status(world.settings).problems[0][0]


def test_generations_reached_by_a_link_answer_and_are_not_removed(world, tmp_path):
    """An operator moved them to a larger disk: they can be activated, and gc removes none."""
    load(world.settings, NEW)
    away = tmp_path / "away"
    world.paths.generations.rename(away)
    world.paths.generations.symlink_to(away)
    assert activate(world.settings, NEW).old == OLD
    activate(world.settings, OLD)
    assert gc(world.settings, generation=NEW).removed == () == gc(world.settings, 1).removed
    assert sorted(path.name for path in away.iterdir()) == [OLD, NEW]


def test_a_generation_never_replaces_a_stray(world, elsewhere):
    """Refused before a byte is copied, with a hint; nothing is moved."""
    place = world.paths.generation(NEW)
    place.symlink_to(elsewhere)
    for options in ({}, {"again": True}, {"dry_run": True}):
        with pytest.raises(Refused, match=f"{NEW}: a symlink or a file") as caught:
            load(world.settings, NEW, **options)
        assert caught.value.reason == "stray"
        assert "move it away" in caught.value.hint
    assert place.is_symlink()
    assert untouched(elsewhere)


def test_strays_in_a_generation_do_not_prevent_its_removal(world, elsewhere):
    """A link and a file in it go with it; what the link points at stays."""
    load(world.settings, NEW)
    place = world.paths.generation(NEW)
    (place / "notes.txt").write_text("mine")
    (place / "db" / "link").symlink_to(elsewhere)
    (place / "db" / "shard=0" / "9.sst").mkdir()
    assert verify_host(world.settings, NEW).ok
    assert [r.name for r in gc(world.settings, generation=NEW).removed] == [NEW]
    assert not place.exists()
    assert untouched(elsewhere)


def test_a_stray_beside_a_mark_is_not_collected_again_and_again(world):
    """Rolled back and removed: only the mark and a foreign file are left; gc has nothing to do."""
    load(world.settings, NEW)
    activate(world.settings, NEW)
    rollback(world.settings)
    gc(world.settings, generation=NEW)
    (world.paths.generation(NEW) / "notes.txt").write_text("mine")
    assert gc(world.settings, 1).removed == ()


def test_a_pointer_is_not_written_through_a_link(world, elsewhere):
    """Its temporary file is a link to a file outside the host's directory."""
    load(world.settings, NEW)
    target = elsewhere / "precious"
    world.paths.current.with_name("CURRENT.tmp").symlink_to(target)
    activate(world.settings, NEW)
    assert world.active() == NEW
    assert target.read_text() == "not ours"
