"""Each fault is found within one round, and the events that it is about are named; a system
without a fault differs in nothing. Real tables, a real generation, a real server."""

from __future__ import annotations

import random

import pyarrow.parquet as pq
import pytest

from batch.lake.cursor import Cursor
from batch.reconciling import looking
from batch.reconciling import round as rounds
from impressions.core.errors import NotReady, Refused
from impressions.core.spec import DAY_MS
from tests.generations import CUTOVER_MS
from tests.reconciling.world import (
    EVENTS,
    OFFSET,
    OLD,
    STREAMED,
    HeldTopic,
    World,
    damage_file,
    lacking,
    named,
    twice,
)
from tests.serving.support import until

PICK = random.Random(20261129)


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as made:
        yield made


def without(events, gone):
    ids = {id(event) for _, event, _ in gone}
    return [one for one in events if id(one[1]) not in ids]


def a_slot(events, least=3):
    """The events of one profile in the ingest slot in which it has most."""
    by_slot = {}
    for one in events:
        by_slot.setdefault((one[0], one[2] // DAY_MS), []).append(one)
    found = max(by_slot.values(), key=len)
    assert len(found) >= least
    return found


def test_without_a_fault_nothing_differs(world):
    world.right()
    done = world.compare()
    assert (done.profiles, done.findings) == (10, ())


def test_a_record_that_the_worker_dropped_is_named(world):
    """The stream's claim goes beyond it: so it lacks it."""
    gone = [PICK.choice(STREAMED)]
    world.raw(EVENTS)
    world.generation(EVENTS)
    world.stream(without(EVENTS, gone))
    world.serve()
    done = world.compare()
    assert named(done) == lacking("stream", gone)
    ((finding,), (profile, event, _)) = (done.findings, gone[0])
    (difference,) = finding.differences
    (it,) = difference.events
    assert (finding.profile_id, difference.title, difference.unique) == (
        profile, event["title"], True,
    )  # fmt: skip
    assert (it.log_id, it.dwell_s) == (OFFSET[id(event)] + 1, event["dwell_s"])
    assert (it.layers["raw"], it.layers["generation"]) == ("has", "not its own")
    assert it.ingest_time.startswith("2026-11-")


def test_an_event_that_a_generation_lacks_is_named(world):
    gone = [PICK.choice(OLD)]
    world.raw(EVENTS)
    world.generation(without(EVENTS, gone))
    world.stream(EVENTS)
    world.serve()
    assert named(world.compare()) == lacking("generation", gone)


def test_a_slot_that_a_generation_counts_twice_is_named(world):
    doubled = a_slot(OLD, least=2)
    world.raw(EVENTS)
    world.generation(EVENTS + doubled)
    world.stream(EVENTS)
    world.serve()
    assert named(world.compare()) == twice("generation", doubled)


def test_a_block_that_a_host_lost_is_named_event_by_event(world):
    """One profile in one slot."""
    gone = a_slot(STREAMED, least=2)
    world.raw(EVENTS)
    world.generation(EVENTS)
    world.stream(without(EVENTS, gone))
    world.serve()
    assert named(world.compare()) == lacking("stream", gone)


def test_a_generation_of_an_older_snapshot_lacks_what_was_landed_since(world):
    gone = [e for e in OLD if e[2] >= CUTOVER_MS - 20 * DAY_MS]
    assert len(gone) > 10
    world.raw(EVENTS)
    world.generation(without(EVENTS, gone))
    world.stream(EVENTS)
    world.serve()
    assert named(world.compare()) == lacking("generation", gone)


def test_a_slot_that_was_landed_twice_is_named_though_answers_are_right(world):
    """Raw has it in two files; the generation was computed before."""
    doubled = a_slot(STREAMED, least=2)
    world.right()
    world.raw(doubled)
    done = world.compare()
    assert named(done) == twice("raw", doubled)
    assert [d.title for f in done.findings for d in f.differences] == [None]


def test_a_slot_that_was_landed_twice_and_counted_twice_is_named_in_both(world):
    doubled = a_slot(OLD, least=2)
    world.raw(EVENTS)
    world.raw(doubled)
    world.generation(EVENTS + doubled)
    world.stream(EVENTS)
    world.serve()
    assert named(world.compare()) == twice("raw", doubled) | twice("generation", doubled)


def test_an_event_that_raw_lost_is_named_by_the_topic(world, monkeypatch):
    """The stream has it: the answer is right, and the next generation would not be."""
    gone = [PICK.choice(STREAMED)]
    world.raw(without(EVENTS, gone))
    world.generation(EVENTS)
    world.stream(EVENTS)
    world.serve()
    monkeypatch.setattr(rounds, "topic_of", lambda settings: HeldTopic(EVENTS))
    done = world.compare()
    assert named(done) == lacking("raw", gone)
    ((difference,),) = [finding.differences for finding in done.findings]
    assert "raw lacks it" in difference.text
    assert difference.events[0].layers["topic"] == "has"


def test_an_event_that_raw_and_generation_lost_is_found_from_a_date_on(world, monkeypatch):
    """Raw and answer agree, so only the topic tells: --since reads it from there on."""
    gone = [PICK.choice([e for e in OLD if e[2] >= CUTOVER_MS - 40 * DAY_MS])]
    world.raw(without(EVENTS, gone))
    world.generation(without(EVENTS, gone))
    world.stream(EVENTS)
    world.serve()
    monkeypatch.setattr(rounds, "topic_of", lambda settings: HeldTopic(EVENTS))
    assert world.compare().findings == ()
    done = world.compare(since_ms=CUTOVER_MS - 50 * DAY_MS)
    assert named(done) == lacking("raw", gone) | lacking("generation", gone)


def test_what_is_not_landed_yet_is_read_from_the_topic(world, monkeypatch):
    """Half of the stream is in the topic alone; one of those was dropped."""
    landed_to = len(EVENTS) - len(STREAMED) // 2
    gone = [EVENTS[-3]]
    world.raw([e for e in EVENTS if OFFSET[id(e[1])] < landed_to], landed_to)
    world.generation(EVENTS)
    world.stream(without(EVENTS, gone))
    world.serve()
    monkeypatch.setattr(rounds, "topic_of", lambda settings: HeldTopic(EVENTS))
    done = world.compare()
    assert named(done) == lacking("stream", gone)
    assert done.findings[0].differences[0].events[0].layers["raw"] == "not landed"


def test_a_device_that_sends_an_impression_twice_in_a_flush_is_no_fault(world, monkeypatch):
    """Raw holds both rows in one file, as the topic does."""
    doubled = PICK.choice(STREAMED)
    every = [*EVENTS, doubled]
    world.raw(every)
    world.generation(every)
    world.stream(every)
    world.serve()
    assert world.compare().findings == ()
    monkeypatch.setattr(rounds, "topic_of", lambda settings: HeldTopic(every))
    assert world.compare(since_ms=CUTOVER_MS - DAY_MS).findings == ()


def test_a_flipped_bit_of_raw_spoils_the_profiles_where_it_lies(world):
    """They are not compared, and the file is named; all others are, and every round goes on."""
    paths = world.raw(EVENTS)
    world.generation(EVENTS)
    world.stream(EVENTS)
    world.serve()
    path = damage_file(paths[0])
    spoiled = set(pq.read_table(path, columns=["profile_id"])["profile_id"].to_pylist())
    done = world.compare()
    assert (done.profiles, done.findings) == (10, ())
    assert {one.profile_id for one in done.skipped} == spoiled
    assert 0 < len(spoiled) < 10
    assert all(one.reason == "rotten_file" and path.name in one.message for one in done.skipped)


def test_a_profile_that_the_host_cannot_read_is_a_finding(world):
    """A block of its deltas is damaged: the server says DATA_LOSS, and never another number."""
    world.right()
    world.damage(profile=4)
    done = until(lambda: (r := world.compare()).findings and r, "the server sees the damage")
    (finding,) = done.findings
    assert (finding.profile_id, finding.differences) == (4, ())
    assert "corrupt" in finding.error


def test_more_events_than_fit_into_memory_are_compared_in_parts(world, monkeypatch):
    """One profile that does not fit alone is left out, with the setting that helps."""
    world.right()
    monkeypatch.setattr("batch.reconciling.landed.EVENT_BYTES", (2048 << 20) // 100)
    monkeypatch.setattr(looking, "_tail", lambda *_: Cursor(0))
    done = world.compare()
    assert (done.profiles, done.findings) == (10, ())
    monkeypatch.setattr("batch.reconciling.landed.EVENT_BYTES", 2048 << 20)
    done = world.compare()
    assert len(done.skipped) == 10
    assert done.skipped[0].message.endswith("fit into memory: a larger land.memory_mb")
    assert "more than 1 events" in done.skipped[0].message


def test_a_server_of_other_settings_is_refused(world):
    world.right()
    world.settings = world.settings.model_copy(update={"partitions": 4})
    with pytest.raises(Refused, match="the server has P 8, but the settings say 4"):
        world.compare([1])


def test_before_anything_is_landed_it_is_too_early(world):
    world.generation(EVENTS)
    world.stream(EVENTS)
    world.serve()
    with pytest.raises(NotReady, match="does not exist yet"):
        world.compare([1])


def test_a_profile_that_nobody_has_seen_agrees(world):
    world.right()
    done = world.compare([10**12])
    assert (done.profiles, done.findings) == (1, ())
