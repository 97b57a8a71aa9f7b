"""The gate before a swap: wrong generations and wrong copies are found and named, others pass."""

import json
import shutil
from dataclasses import replace

import pytest

from bulkload.activate import activate
from bulkload.cli import app
from bulkload.gc import gc
from bulkload.host_status import status
from bulkload.load import load
from bulkload.rollback import rollback
from impressions.core.errors import CorruptData, Refused, UsageError
from impressions.core.spec import DAY_MS
from impressions.deltas.store import readers_dir, store_dir
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.process.command import main
from impressions.seam import comparison
from oracle import naive
from tests.bulkload.world import NEW, NEW_MS, OLD, OLD_MS
from tests.fixed_clock import FixedClock
from tests.generations import blocks_of
from tests.seam.support import (
    THROUGH_MS,
    between_cutovers,
    copy_of,
    events_of,
    key_of,
    publish_both,
)

SEED = 20_261_121
EVENTS = events_of(SEED)
CLOCK = FixedClock(THROUGH_MS)
LOST = between_cutovers(EVENTS)[3]
ALL = len({profile for profile, _, _ in EVENTS})


@pytest.fixture
def empty(empty):
    """With time to compare everything, however slow the machine is."""
    empty.settings = empty.with_host(seam_max_s=600)
    return empty


def generation_status(world, name):
    return next(g for g in status(world.settings).generations if g.generation == name)


def row_of(events, applied):
    """What the oracle says of an event's row."""
    profile, event, _ = applied
    return naive.answers(events, THROUGH_MS)[profile, event["title"], event["location"]]


def refusal(world, **options):
    """The findings of the refusal, which changes nothing."""
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        activate(world.settings, NEW, clock=CLOCK, **options)
    assert (caught.value.reason, caught.value.exit_code) == ("seam_differs", 7)
    assert world.active() == OLD
    kept = {k: v for k, v in world.snapshot().items() if not k.endswith(".lock")}
    assert kept == {k: v for k, v in before.items() if not k.endswith(".lock")}
    return caught.value.findings


def names(findings):
    return {(d.profile_id, d.title_id, d.location) for d in findings.differences}


def name_of(applied):
    profile, event, _ = applied
    return profile, event["title"], event["location"]


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_an_ordinary_swap_passes_with_no_difference(empty, seed):
    """Random events, late ones among them: every profile of so small a host is compared."""
    events = events_of(seed)
    publish_both(empty, events)
    copy_of(empty.settings, events)
    swap = activate(empty.settings, NEW, clock=CLOCK)
    found = swap.seam
    assert swap.action == "activated"
    assert (found.compared, found.planned, found.differing, found.skipped) == (
        found.planned, len({profile for profile, _, _ in events}), 0, (),
    )  # fmt: skip
    assert (found.old, found.new, found.query_ms) == (OLD, NEW, THROUGH_MS)
    assert generation_status(empty, NEW).seam.compared == found.compared
    assert not list(readers_dir(empty.settings).glob("*")), "its own directory is removed"


def test_an_event_that_the_new_generation_lacks_is_named(empty):
    """Both values are those of the oracle, with the event and without it."""
    rest = [e for e in EVENTS if e is not LOST]
    publish_both(empty, EVENTS, of_new=rest)
    copy_of(empty.settings, EVENTS)
    found = refusal(empty)
    assert (found.differing, found.compared, names(found)) == (1, ALL, {name_of(LOST)})
    first = found.differences[0]
    assert (first.measure, first.half_life_days) == ("impressions", None)
    assert first.old == row_of(EVENTS, LOST)["impressions"]
    assert first.new == first.old - 1


def test_an_event_that_the_new_generation_has_twice_is_named(empty):
    """As if a slot had been landed twice."""
    publish_both(empty, EVENTS, of_new=[*EVENTS, LOST])
    copy_of(empty.settings, EVENTS)
    found = refusal(empty)
    assert names(found) == {name_of(LOST)}
    first = found.differences[0]
    assert (first.old, first.new) == (row_of(EVENTS, LOST)["impressions"], first.old + 1)


def test_a_generation_of_an_older_snapshot_is_refused(empty):
    """It lacks the last three days before its cutover: as many profiles differ as had events."""
    lacking = [e for e in EVENTS if not NEW_MS - 3 * DAY_MS <= e[2] < NEW_MS]
    lost = {e[0] for e in EVENTS} & {e[0] for e in EVENTS if e not in lacking}
    publish_both(empty, EVENTS, of_new=lacking)
    copy_of(empty.settings, EVENTS)
    found = refusal(empty)
    assert found.differing == len(lost) > 5
    assert found.values > len(found.differences) == 20


def test_a_profile_that_the_new_generation_lacks_is_found_through_the_stream(empty):
    """It was first seen this week, so neither generation has its key."""
    only = [e for e in between_cutovers(EVENTS) if e[0] == LOST[0]]
    others = [e for e in EVENTS if e[0] != LOST[0]]
    publish_both(empty, others)
    copy_of(empty.settings, [*others, *only])
    assert {d.profile_id for d in refusal(empty).differences} == {LOST[0]}


def test_a_block_of_deltas_that_is_gone_from_the_host_is_named(empty):
    """The generation is right and the copy is not: the difference is the other way round."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS, deleted=[key_of(LOST)])
    found = refusal(empty)
    assert name_of(LOST) in names(found)
    assert {d.profile_id for d in found.differences} == {LOST[0]}
    assert all(d.old < d.new for d in found.differences)


def test_a_dry_run_compares_too(empty):
    """It is refused like the swap itself, and reports what an ordinary one would find."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS, deleted=[key_of(LOST)])
    assert refusal(empty, dry_run=True).differing == 1
    shutil.rmtree(empty.settings.deltas_dir)
    copy_of(empty.settings, EVENTS)
    before = empty.snapshot()
    assert activate(empty.settings, NEW, clock=CLOCK, dry_run=True).seam.compared == ALL
    assert {k for k in before if "deltas" not in k} == {
        k for k in empty.snapshot() if "deltas" not in k
    }
    assert empty.active() == OLD


def test_a_difference_is_accepted_with_a_reason_that_stays(empty):
    """In the report, in status, after the generation was copied again; gc removes it with it."""
    publish_both(empty, EVENTS, of_new=[e for e in EVENTS if e is not LOST])
    copy_of(empty.settings, EVENTS)
    reason = "profile deleted on request №7"
    swap = activate(empty.settings, NEW, clock=CLOCK, accept_difference=reason)
    assert (swap.action, swap.seam.accepted, swap.seam.differing) == ("activated", reason, 1)
    kept = generation_status(empty, NEW).seam
    assert (kept.old, kept.activated_ms, kept.accepted) == (
        OLD, THROUGH_MS, "profile deleted on request \\u21167",
    )  # fmt: skip
    assert f"profile {LOST[0]}, title {LOST[1]['title']}" in kept.differences[0]
    load(empty.settings, NEW, again=True)
    assert generation_status(empty, NEW).seam == kept
    rollback(empty.settings)
    gc(empty.settings, generation=NEW)
    assert generation_status(empty, NEW).seam is None


def test_a_reason_must_be_text_and_is_kept_only_where_it_was_needed(empty):
    """An acceptance in a crontab accepts nothing silently."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    with pytest.raises(UsageError, match="expected why the swap is right"):
        activate(empty.settings, NEW, accept_difference="  ")
    swap = activate(empty.settings, NEW, clock=CLOCK, accept_difference="always")
    assert (swap.seam.differing, swap.seam.accepted) == (0, None)


def test_a_rollback_is_not_compared(empty):
    """It leads away from what is wrong, so it must not wait for anything."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS, deleted=[key_of(LOST)])
    activate(empty.settings, NEW, clock=CLOCK, accept_difference="a test")
    swap = rollback(empty.settings)
    assert (swap.action, swap.generation, swap.seam) == ("rolled_back", OLD, None)


def test_going_back_by_activate_is_compared_the_same_way(empty):
    """The older generation needs the stream, and the newer one is the active one."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    activate(empty.settings, NEW, clock=CLOCK)
    found = activate(empty.settings, OLD, clock=CLOCK).seam
    assert (found.old, found.new, found.compared, found.differing) == (NEW, OLD, ALL, 0)


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        (None, "no_copy"),
        ({"restoring": True}, "restoring"),
        ({"through_ms": NEW_MS - 1}, "copy_behind"),
        ({"since_ms": OLD_MS + 1}, "deltas_missing"),
    ],
)
def test_what_cannot_be_compared_is_said_and_does_not_stop_a_swap(empty, copy, reason):
    """Although the new generation lacks an event, which nothing here can tell."""
    publish_both(empty, EVENTS, of_new=[e for e in EVENTS if e is not LOST])
    if copy is not None:
        copy_of(empty.settings, EVENTS, **copy)
    swap = activate(empty.settings, NEW, clock=CLOCK)
    assert swap.action == "activated"
    assert (swap.seam.compared, [skip.reason for skip in swap.seam.skipped]) == (0, [reason])
    assert str(generation_status(empty, NEW).seam).startswith(f"not compared: {reason}")


def test_history_that_files_brought_between_the_cutovers_is_no_difference(empty):
    """The manifest of the old generation says so: the new one has rows that no stream saw."""
    imported = (1, {**LOST[1], "event_ms": OLD_MS + 5}, OLD_MS + 5)
    publish_both(empty, EVENTS, of_new=[*EVENTS, imported], history_until_ms=NEW_MS + 1)
    copy_of(empty.settings, EVENTS)
    found = activate(empty.settings, NEW, clock=CLOCK).seam
    assert [skip.reason for skip in found.skipped] == ["history_imported"]


def test_the_first_generation_and_one_after_a_lost_one_have_nothing_to_be_compared_with(empty):
    """Both are swaps that must work."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    assert generation_status(empty, OLD).seam.skipped == (
        "nothing_active: no generation is active",
    )
    shutil.rmtree(empty.paths.generation(OLD))
    found = activate(empty.settings, NEW, clock=CLOCK).seam
    assert [skip.reason for skip in found.skipped] == ["old_unreadable"]


def test_a_damaged_copy_or_old_generation_does_not_stop_the_swap_that_may_replace_it(empty):
    """Half of each file is zeros; the new generation is good."""
    publish_both(empty, EVENTS)
    for file in empty.paths.store(OLD).glob("*/*.sst"):
        data = file.read_bytes()
        file.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])
    copy_of(empty.settings, EVENTS)
    found = activate(empty.settings, NEW, clock=CLOCK, dry_run=True).seam
    assert {skip.reason for skip in found.skipped} == {"old_unreadable"}
    (store_dir(empty.settings) / "CURRENT").write_text("MANIFEST-999999\n")
    found = activate(empty.settings, NEW, clock=CLOCK).seam
    assert [skip.reason for skip in found.skipped] == ["copy_unreadable"]


def test_a_shard_that_the_old_generation_lacks_is_left_out_alone(empty):
    """The host owns more since; the other shard is compared."""
    empty.publish(OLD_MS, blocks=blocks_of(EVENTS, OLD_MS))
    empty.publish(NEW_MS, blocks=blocks_of(EVENTS, NEW_MS))
    one = empty.with_host(shards="1")
    load(one, OLD)
    activate(one, OLD)
    load(empty.settings, NEW)
    copy_of(empty.settings, EVENTS)
    found = activate(empty.settings, NEW, clock=CLOCK).seam
    assert [(skip.reason, skip.shards) for skip in found.skipped] == [("old_lacks_shard", (0,))]
    assert 0 < found.compared < ALL


def test_time_runs_out_but_one_profile_of_every_shard_is_compared(empty, monkeypatch):
    """The report says how many of how many."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    seconds = iter(range(0, 600_000, 601))
    timed = comparison.compare
    monkeypatch.setattr(
        comparison, "compare", lambda *of: timed(*of, timer_s=lambda: next(seconds))
    )
    found = activate(empty.settings, NEW, clock=CLOCK).seam
    assert (found.compared, found.planned) == (2, ALL)
    assert [skip.reason for skip in found.skipped] == ["out_of_time"]


def test_turned_off_it_says_so(empty):
    """No setting turns the gate off silently."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    found = activate(empty.with_host(seam_random=0, seam_active=0), NEW, clock=CLOCK).seam
    assert [skip.reason for skip in found.skipped] == ["off"]


def test_a_second_attempt_draws_the_same_profiles(empty):
    """A scheduler that tries again must not be let through by luck."""
    publish_both(empty, EVENTS, of_new=[*EVENTS, LOST])
    copy_of(empty.settings, EVENTS)
    one, other = (replace(refusal(empty), seconds=0) for _ in range(2))
    assert one == other


def test_a_new_generation_that_cannot_be_read_is_damage(empty, monkeypatch):
    """Exit 4 and the line that copies it again, as everywhere."""
    publish_both(empty, EVENTS)
    copy_of(empty.settings, EVENTS)
    for file in empty.paths.store(NEW).glob("*/*.sst"):
        data = file.read_bytes()
        file.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])
    monkeypatch.setattr("bulkload.activate.prove_ready", lambda *of: None)
    with pytest.raises(CorruptData) as caught:
        activate(empty.settings, NEW, clock=CLOCK)
    assert caught.value.hint == f"impressions bulkload load {NEW} --again"
    assert empty.active() == OLD


def test_a_damaged_record_is_a_problem_and_no_damage(empty):
    """It decides nothing; the hint writes it again."""
    publish_both(empty, EVENTS)
    empty.paths.seam(OLD).write_bytes(b"{}")
    host = status(empty.settings)
    assert not host.damaged
    assert any("seam.json" in message for message, _ in host.problems)


# ---- the command line


@pytest.fixture
def call(empty, capsys, monkeypatch):
    """Run one verb; (exit code, stdout, stderr)."""
    monkeypatch.setenv("IMPRESSIONS_HOME", str(empty.settings.home))
    monkeypatch.setenv("IMPRESSIONS_PARTITIONS", str(empty.settings.partitions))
    monkeypatch.setenv("IMPRESSIONS_HOST__RESERVE_BYTES", "0")
    monkeypatch.setenv("IMPRESSIONS_HOST__SEAM_MAX_S", "600")

    def run(*argv):
        code = main(app, argv, prog="bulkload")
        out, err = capsys.readouterr()
        return code, out, err

    run.world = empty
    return run


def test_a_refusal_names_what_differs_for_people_and_for_programs(call):
    """Message, hint and page on stderr; under --json every finding."""
    publish_both(call.world, EVENTS, of_new=[*EVENTS, LOST])
    copy_of(call.world.settings, EVENTS, since_ms=FROM_THE_FIRST_MS)
    code, out, err = call("activate", NEW)
    profile, title, location = name_of(LOST)
    assert (code, out) == (7, "")
    assert f"generation {NEW} answers other than {OLD} does" in err
    assert f"profile {profile}, title {title}, location {location}, impressions: " in err
    assert "--accept-difference" in err
    code, out, _ = call("activate", NEW, "--json")
    refused = json.loads(out)
    assert (code, refused["reason"]) == (7, "seam_differs")
    assert (refused["seam"]["differing"], refused["seam"]["compared"]) == (1, ALL)
    assert refused["seam"]["differences"][0]["profile_id"] == profile
    code, out, err = call("activate", NEW, "--accept-difference", "a test")
    assert (code, out) == (0, f"activated: {OLD} -> {NEW}\n")
    assert f"seam: {ALL} of {ALL} profiles compared with {OLD}, 1 differ" in err
    assert "1 of 24 differ, accepted: a test" in call("status")[1]


def test_a_swap_without_a_comparison_says_why(call):
    """In two lines; the first generation of a host has nothing to be compared with, and says so
    under --json only."""
    publish_both(call.world, EVENTS)
    call.world.paths.current.unlink()
    assert "seam" not in call("activate", OLD)[2]
    err = call("activate", NEW)[2]
    assert f"seam: nothing compared with {OLD}\n  not compared: no_copy: " in err


def test_the_report_of_a_swap_says_what_was_compared(call):
    """Counts, seed, seconds, reasons: the keys that a scheduler may read."""
    publish_both(call.world, EVENTS)
    report = json.loads(call("activate", NEW, "--json")[1])["seam"]
    assert set(report) == {
        "old", "new", "query_ms", "seed", "planned", "compared", "differing", "values",
        "skipped", "differences", "seconds", "accepted",
    }  # fmt: skip
    assert [skip["reason"] for skip in report["skipped"]] == ["no_copy"]
