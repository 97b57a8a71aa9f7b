"""sync and heal: a host gets the newest generation by itself, and what is rotten becomes whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bulkload.activate import activate
from bulkload.heal import heal
from bulkload.host import Host
from bulkload.load import load
from bulkload.rollback import rollback
from bulkload.sync import activate_newest
from bulkload.verify import verify_host
from impressions.client import CallFailed, ImpressionsClient
from impressions.core.errors import NotReady, Refused, ServiceError
from impressions.formats.generation_paths import MANIFEST, generation_id
from impressions.formats.pointer import Checked
from impressions.history.run_history import RunHistory
from impressions.process.failpoint import VARIABLE, hits
from impressions.steps import report, running
from impressions.steps.asked import Asked
from impressions.steps.host import STEPS
from impressions.steps.running import Gone
from tests.bulkload.world import NEW, NEW_MS, OLD, OLD_MS, WEEK_MS, World
from tests.faults.conftest import serving_settings
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, serving, until

DAY_H = 24
NEXT_MS = NEW_MS + WEEK_MS
NEXT = generation_id(NEXT_MS)


def sync(world: World, *, dry_run: bool = False, now_ms: int = NEXT_MS) -> list[Gone]:
    return running.go(STEPS, Asked(world.settings, FixedClock(now_ms), dry_run))


def states(gone: list[Gone]) -> dict[str, str]:
    return {one.step.name: one.state for one in gone}


def flip_a_byte(world: World, generation: str) -> Path:
    """In the middle of the largest SST file of its store: its size stays."""
    path = max(world.paths.store(generation).glob("*/*.sst"), key=lambda p: p.stat().st_size)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x40]))
    return path


def rot_published(world: World, generation: str) -> None:
    path = world.sst(generation)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def test_a_host_gets_the_newest_generation_and_a_second_time_nothing(world: World) -> None:
    first = sync(world)
    assert states(first) == {
        "load": "done", "check": "done", "activate": "done", "gc": "nothing",
    }  # fmt: skip
    assert first[1].line == "2 whole, every byte of 1 read", "OLD; NEW was read by its load"
    assert world.active() == NEW
    before = world.snapshot()
    assert set(states(sync(world)).values()) == {"nothing"}
    assert world.snapshot() == before


def test_a_host_without_anything_gets_its_first_generation(empty: World) -> None:
    empty.publish(OLD_MS)
    assert report.exit_code(sync(empty)) == 0
    assert empty.active() == OLD


def events(world: World) -> list[tuple[str, str]]:
    """(kind, what) of all that the history says, the oldest first."""
    runs = RunHistory(world.settings.history_uri).runs()
    return [(event.kind, event.what) for run in reversed(runs) for event in run.events]


def test_a_host_that_missed_loads_goes_straight_to_the_newest(world: World) -> None:
    """NEW is never loaded: NEXT holds the whole year. The history says that it happened."""
    world.publish(NEXT_MS)
    gone = sync(world)
    assert report.exit_code(gone) == 0
    assert world.active() == NEXT
    assert events(world) == [("healed", "host caught up after missed generations")]
    assert Host(world.settings.host_dir).generations.names() == [OLD, NEXT]


def test_a_dry_run_says_what_would_happen_and_changes_nothing(world: World) -> None:
    before = world.snapshot()
    gone = sync(world, dry_run=True)
    assert states(gone) == {
        "load": "would", "check": "nothing", "activate": "later", "gc": "nothing",
    }  # fmt: skip
    assert gone[0].line.startswith(f"would load {NEW}")
    assert (world.snapshot(), report.exit_code(gone)) == (before, 0)


def test_a_published_generation_that_is_damaged_is_named_and_the_one_before_is_taken(
    world: World,
) -> None:
    """Also the manifest: a host that is weeks behind gets the newest one that can be used."""
    world.publish(NEXT_MS)
    rot_published(world, NEXT)
    gone = sync(world)
    assert (world.active(), report.exit_code(gone)) == (NEW, 7)
    assert states(gone)["gc"] != "not reached"
    (world.published / NEXT / MANIFEST).write_bytes(b"rotten")
    assert report.outcome_of(sync(world)).extra["reason"] == "does_not_fit"
    assert world.active() == NEW


def test_what_another_run_activated_meanwhile_is_no_activation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs at once: one does it, the other says that nothing was to do."""
    load(world.settings, NEW)
    looked = Host.pointer

    def old_look(host: Host) -> object:
        pointer = looked(host)
        if pointer is not None and pointer.generation == OLD:
            monkeypatch.setattr(Host, "pointer", looked)
            activate(world.settings, NEW, clock=FixedClock(NEXT_MS))
        return pointer

    monkeypatch.setattr(Host, "pointer", old_look)
    done = activate_newest(Asked(world.settings, FixedClock(NEXT_MS)))
    assert (done.changed, done.line) == (False, f"{NEW} is active")
    assert world.active() == NEW


def test_a_store_that_does_not_answer_keeps_nothing_back_that_is_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer generation waits on this host: it is checked and made active; the exit code is that
    of the store. Where nothing is loaded there is nothing to go on with."""
    load(world.settings, NEW)

    def away(*_: object, **__: object) -> list[object]:
        raise ServiceError("listing s3://b: failed in 4 attempts", reason="storage")

    monkeypatch.setattr("bulkload.sync.listing", away)
    gone = sync(world)
    assert states(gone) == {"load": "nothing", "check": "done", "activate": "done", "gc": "nothing"}
    assert (world.active(), report.exit_code(gone)) == (NEW, 8)
    shutil.rmtree(world.paths.generations)
    world.paths.current.unlink()
    assert states(sync(world))["check"] == "not reached"


def test_a_generation_that_was_rolled_back_is_not_taken_again(world: World) -> None:
    sync(world)
    rollback(world.settings)
    assert set(states(sync(world)).values()) == {"nothing"}
    assert world.active() == OLD


def test_nothing_published_and_nothing_loaded_is_too_early(empty: World) -> None:
    gone = sync(empty)
    assert (states(gone)["load"], report.exit_code(gone)) == ("failed", 5)
    assert states(gone)["gc"] == "not reached"


def damage_sst(world: World) -> None:
    flip_a_byte(world, OLD)


def damage_missing(world: World) -> None:
    next(world.paths.store(OLD).glob("*/*.sst")).unlink()


def damage_record(world: World) -> None:
    world.paths.loaded(OLD).write_bytes(b"{}")


def damage_manifest(world: World) -> None:
    world.paths.manifest(OLD).unlink()


def damage_marker(world: World) -> None:
    world.paths.loaded(OLD).unlink()


DAMAGES = [damage_sst, damage_missing, damage_record, damage_manifest, damage_marker]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_rotten_active_generation_is_loaded_again(world: World, damage) -> None:
    """A day later at the latest: then every byte is read again. Nothing newer is published."""
    shutil.rmtree(world.published / NEW)
    damage(world)
    gone = sync(world, now_ms=CUTOVER_MS + WEEK_MS + DAY_H * 3_600_000)
    assert report.exit_code(gone) == 0, [one.line for one in gone]
    assert "done" in (states(gone)["check"], states(gone)["load"])
    assert (world.active(), verify_host(world.settings, OLD).problems) == (OLD, ())
    assert list(world.paths.loading.iterdir()) == []
    healed = [] if damage is damage_marker else [("healed", "rotten generation loaded again")]
    assert events(world) == healed


def test_bytes_are_read_again_once_a_day(world: World) -> None:
    """By the record of the last time; one of the future does not put it off."""
    shutil.rmtree(world.published / NEW)
    now_ms = CUTOVER_MS + WEEK_MS

    def read_ms(at_ms: int) -> int:
        gone = sync(world, now_ms=at_ms)
        checked_ms = Checked.decode(world.paths.checked(OLD).read_bytes()).checked_ms
        assert states(gone)["check"] == ("done" if checked_ms == at_ms else "nothing")
        return checked_ms

    day_ms = DAY_H * 3_600_000
    assert read_ms(now_ms) == now_ms
    assert read_ms(now_ms + day_ms - 1) == now_ms
    assert read_ms(now_ms + day_ms) == now_ms + day_ms
    assert read_ms(now_ms) == now_ms


def test_where_the_published_copy_is_rotten_too_nothing_is_removed(world: World) -> None:
    """It says so and stays; servers refuse what is corrupt. gc leaves everything alone."""
    shutil.rmtree(world.published / NEW)
    rot_published(world, OLD)
    flip_a_byte(world, OLD)
    before = {p: d for p, d in world.snapshot().items() if "lock" not in p}
    gone = sync(world, now_ms=CUTOVER_MS + WEEK_MS)
    said = report.outcome_of(gone).extra
    assert (said["reason"], said["exit_code"], said["stopped_at"]) == ("rotten", 4, "check")
    assert "wrong" in said["message"] or "sha256" in said["message"], said["message"]
    assert events(world) == [("unhealed", "rotten generation cannot be loaded again")]
    assert gone[-1].line == f"nothing is removed while {OLD} is rotten"
    assert {p: d for p, d in world.snapshot().items() if "lock" not in p} == before


def test_a_rotten_one_that_cannot_be_healed_does_not_keep_a_newer_one_back(world: World) -> None:
    rot_published(world, OLD)
    flip_a_byte(world, OLD)
    gone = sync(world, now_ms=CUTOVER_MS + WEEK_MS)
    assert (world.active(), report.exit_code(gone)) == (NEW, 4)


def test_a_rotten_generation_is_never_made_active(world: World) -> None:
    """NEW was loaded and rots before its activation, here and where it is published."""
    load(world.settings, NEW)
    rot_published(world, NEW)
    flip_a_byte(world, NEW)
    gone = sync(world, now_ms=CUTOVER_MS + 5 * WEEK_MS)
    assert (world.active(), report.exit_code(gone)) == (OLD, 4)


def test_another_content_under_the_name_is_refused(world: World) -> None:
    world.publish(OLD_MS, blocks={1: next(iter(_blocks(world).values()))})
    flip_a_byte(world, OLD)
    with pytest.raises(Refused) as refused:
        heal(world.settings, OLD)
    assert refused.value.reason == "other_manifest"


def _blocks(world: World) -> dict[int, bytes]:
    from tests.bulkload.world import EVENTS
    from tests.generations import blocks_of

    return blocks_of(EVENTS, OLD_MS)


def test_what_is_not_here_is_not_healed(world: World) -> None:
    with pytest.raises(NotReady, match="not loaded"):
        heal(world.settings, NEW)
    assert not world.paths.generation(NEW).exists()


def test_a_damaged_pointer_is_written_again(world: World) -> None:
    world.paths.current.write_bytes(b"rotten")
    assert report.exit_code(sync(world)) == 0
    assert world.active() == NEW


def test_a_server_answers_on_while_a_generation_is_healed(world: World) -> None:
    """It opens the healed copy by itself, and reads what it could not read before."""
    shutil.rmtree(world.published / NEW)
    with serving(serving_settings(world)) as server, client_of(server) as client:
        before = server.generations.current.loaded.loaded_ms
        flip_a_byte(world, OLD)
        refused = [p for p in range(1, 25) if not _answers(client, p)]
        assert refused, "the byte that was flipped is of some profiles"
        assert heal(world.settings, OLD).action == "healed"
        assert all(_answers(client, p) for p in range(1, 25) if p not in refused)
        until(lambda: server.generations.current.loaded.loaded_ms != before, "the copy is opened")
        for profile in range(1, 25):
            assert client.get(profile, at_ms=OLD_MS).context.generation == OLD


def _answers(client: ImpressionsClient, profile: int) -> bool:
    """Whether a profile is answered; DATA_LOSS is all else that there may be."""
    try:
        return client.get(profile, at_ms=OLD_MS).context.generation == OLD
    except CallFailed as error:
        if error.code != "DATA_LOSS":
            raise
        return False


def command(world: World, words: list[str], failpoint: str = "") -> subprocess.CompletedProcess:
    settings = world.settings
    flags = (f"home={settings.home}", f"partitions={settings.partitions}", "host.reserve_bytes=0")
    return subprocess.run(
        [sys.executable, "-m", "bulkload", *words, *(f for s in flags for f in ("--set", s))],
        env={**os.environ, VARIABLE: failpoint}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


# name of the failpoint -> what answers when it was killed there
KILLS = {
    "before-load": OLD, "before-check": OLD, "before-pointer": OLD, "after-pointer": NEW,
    "before-gc": NEW,
}  # fmt: skip


@pytest.mark.parametrize("at", KILLS)
def test_killed_anywhere_and_run_again_it_goes_on(world: World, tmp_path: Path, at: str) -> None:
    mark = tmp_path / "hit"
    killed = command(world, ["sync"], f"{at}:kill:1:{mark}")
    assert (killed.returncode, hits(mark)) == (-signal.SIGKILL, 1), killed.stderr
    assert world.active() == KILLS[at]
    again = command(world, ["sync", "--json"])
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert (said["job"], said["stopped_at"], said["exit_code"]) == ("sync", None, 0)
    assert [one["step"] for one in said["steps"]] == ["load", "check", "activate", "gc"]
    assert (world.active(), verify_host(world.settings, NEW).problems) == (NEW, ())


@pytest.mark.parametrize("at", ["before-heal", "half-replaced"])
def test_a_heal_that_was_killed_is_healed_by_the_next(
    world: World, tmp_path: Path, at: str
) -> None:
    flip_a_byte(world, OLD)
    mark = tmp_path / "hit"
    killed = command(world, ["heal", OLD], f"{at}:kill:1:{mark}")
    assert (killed.returncode, hits(mark)) == (-signal.SIGKILL, 1), killed.stderr
    again = command(world, ["heal", "--json"])
    assert again.returncode == 0, again.stderr
    assert [one["action"] for one in json.loads(again.stdout)] == ["healed"]
    assert verify_host(world.settings, OLD).problems == ()
    assert list(world.paths.loading.iterdir()) == []


def test_the_report_is_a_table_and_the_error_its_own_lines(world: World) -> None:
    """For people on stdout; what is wrong and what comes next on stderr."""
    rot_published(world, NEW)
    done = command(world, ["sync"])
    assert done.returncode == 7
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "load", "check", "activate", "gc",
    ]  # fmt: skip
    assert "error: load: " in done.stderr
    assert "next:  call somebody" in done.stderr
