"""What to read of a topic next, and how far raw is complete: the plan, without a broker."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batch.lake import snapshots
from batch.lake.cursor import Cursor, Landed, from_properties
from batch.landing import plan as land_plan
from batch.landing.plan import Loss, Range, TopicState
from impressions.core.errors import Refused
from impressions.core.ingest_time import Carried
from impressions.kafka.last_record import LastRecord

LANDED = Landed("t", "ab" * 16, 1, 100, (Cursor(10, 500, 500), Cursor(0), Cursor(7, 900, 800)))
SEEN = TopicState(
    "t", "ab" * 16, asked_ms=2000, broker_ms=2010, first=(0, 0, 3), end=(25, 0, 7),
    stop=(25, 0, 7), first_ms=100,
)  # fmt: skip
ALL = range(3)


def test_the_offsets_are_readable_properties_and_come_back() -> None:
    said = LANDED.properties()
    assert said["impressions.kafka.next-offsets"] == "[10,0,7]"
    assert said["impressions.kafka.ingest-ms"] == "[500,0,900]"
    assert said["impressions.kafka.through-ms"] == "[500,0,800]"
    assert from_properties(json.loads(json.dumps(said))) == LANDED
    cursor = Cursor(10, 500, 500, suspect_ms=7, last=LastRecord(9, -3))
    known = replace(LANDED, cursors=(cursor, *LANDED.cursors[1:]))
    assert from_properties(known.properties()) == known
    before = {k: v for k, v in said.items() if not k.endswith(("suspect-ms", "offsets", "digests"))}
    next_offsets = {"impressions.kafka.next-offsets": "[10,0,7]"}
    assert from_properties(before | next_offsets).cursors[0].last.digest == 0
    empty = replace(LANDED, first_ms=None)
    assert from_properties(empty.properties()) == empty
    assert from_properties({"impressions.operation": "close"}) is None


def test_one_commit_reads_so_many_records_of_a_partition_and_none_of_an_idle_one() -> None:
    assert land_plan.ranges(LANDED, SEEN, 10, ALL) == [Range(0, 10, 20, 500)]
    assert land_plan.ranges(LANDED, SEEN, 100, ALL) == [Range(0, 10, 25, 500)]


def test_a_lander_of_some_partitions_reads_those_only() -> None:
    assert land_plan.ranges(LANDED, SEEN, 10, (1, 2)) == []
    assert land_plan.ranges(LANDED, SEEN, 10, (0,)) == [Range(0, 10, 20, 500)]


def test_until_is_where_reading_stops() -> None:
    assert land_plan.ranges(LANDED, replace(SEEN, stop=(12, 0, 7)), 100, ALL) == [
        Range(0, 10, 12, 500)
    ]
    assert land_plan.ranges(LANDED, replace(SEEN, stop=(4, 0, 7)), 100, ALL) == []


def test_a_topic_that_was_never_landed_begins_with_what_it_holds() -> None:
    assert land_plan.begin(None, SEEN, 1).cursors == (Cursor(0), Cursor(0), Cursor(3))


def test_the_carried_ingest_time_never_steps_back() -> None:
    """A broker whose clock was set back: its records keep the newest time before them."""
    after = land_plan.advance(LANDED, [(Range(0, 10, 20, 500), Carried(450), LastRecord())], 100)
    assert after.cursors == (Cursor(20, 500, 500), Cursor(0), Cursor(7, 900, 800))


class TestValidThrough:
    """Partition 0 has records left, 1 never had any, 2 is landed to its end. The margin is 60."""

    def through(
        self, landed: Landed, seen: TopicState = SEEN, until_ms: int | None = None
    ) -> list[int]:
        found = land_plan.claimed(landed, seen, 60, until_ms, ALL)
        return [cursor.through_ms for cursor in found.cursors]

    def test_a_partition_with_records_left_says_the_time_of_its_last_one(self) -> None:
        """A drained or silent one is complete up to the question."""
        assert self.through(LANDED) == [500, 1940, 1940]
        assert land_plan.claimed(LANDED, SEEN, 60, None, ALL).through_ms == 500

    def test_records_that_the_broker_does_not_show_yet_are_not_claimed(self) -> None:
        """They were stamped before the clocks were read, and lie behind the end that it says."""
        assert self.through(LANDED, replace(SEEN, unseen=frozenset({1}))) == [500, 0, 1940]

    def test_what_lies_behind_until_is_not_claimed(self) -> None:
        drained = land_plan.advance(
            LANDED, [(Range(0, 10, 25, 500), Carried(1200), LastRecord())], 100
        )
        assert self.through(drained, until_ms=1500) == [1500, 1500, 1500]
        assert self.through(drained, until_ms=9999) == [1940, 1940, 1940]

    @pytest.mark.parametrize("ahead_ms", [3_600_000, 86_400_000, 31_536_000_000, 10**15])
    def test_one_clock_that_is_ahead_claims_nothing(self, ahead_ms: int) -> None:
        """By an hour, a day, a year, thirty thousand years: the other clock is believed."""
        lander = replace(SEEN, asked_ms=SEEN.asked_ms + ahead_ms)
        broker = replace(SEEN, broker_ms=SEEN.broker_ms + ahead_ms)
        assert self.through(LANDED, lander) == [500, 1950, 1950]
        assert self.through(LANDED, broker) == [500, 1940, 1940]

    def test_what_was_claimed_too_early_is_taken_back(self) -> None:
        """Partition 1 says 9000, which no clock has reached: both show about 2000 now."""
        early = replace(LANDED, cursors=(LANDED.cursors[0], Cursor(0, 0, 9000), LANDED.cursors[2]))
        assert self.through(early) == [500, 1940, 1940]

    def test_what_was_said_stays_where_a_clock_only_stepped_back_a_little(self) -> None:
        """Or where a later landing asks for less: what lies before 1930 is landed all the same."""
        said = replace(LANDED, cursors=(LANDED.cursors[0], Cursor(0, 0, 1930), LANDED.cursors[2]))
        assert self.through(said, until_ms=1000)[1] == 1930

    def test_a_lander_says_nothing_of_partitions_of_others(self) -> None:
        found = land_plan.claimed(LANDED, SEEN, 60, None, (1,))
        assert [cursor.through_ms for cursor in found.cursors] == [500, 1940, 800]


class TestRefusals:
    def test_records_deleted_before_they_were_landed(self) -> None:
        """Named by partition and number; accepted, landing goes on after them."""
        seen = replace(SEEN, first=(15, 0, 9), end=(25, 0, 9))
        lost = land_plan.losses(LANDED, seen)
        assert lost == [Loss(0, 10, 15), Loss(2, 7, 9)]
        with pytest.raises(Refused, match=r"7 records .* partition 0: 5 .*; partition 2: 2"):
            land_plan.refuse(lost, seen)
        cursors = land_plan.skip(LANDED, lost, seen).cursors
        assert cursors == (Cursor(15, 500, 500), Cursor(0), Cursor(9, 900, 800))

    def test_a_log_that_ends_before_what_was_landed(self) -> None:
        """An unclean election cut it."""
        seen = replace(SEEN, end=(8, 0, 7))
        assert land_plan.losses(LANDED, seen) == [Loss(0, 8, 10)]
        assert land_plan.skip(LANDED, [Loss(0, 8, 10)], seen).cursors[0] == Cursor(8, 500, 500)

    def test_a_log_that_was_cut_and_filled_again_needs_a_new_epoch(self) -> None:
        """Then it is landed from the first record it holds; the others go on."""
        last = LastRecord(6, 99)
        cursors = (*LANDED.cursors[:2], replace(LANDED.cursors[2], last=last))
        landed = replace(LANDED, cursors=cursors)
        with pytest.raises(Refused, match="partition 2: the record at offset 6") as refused:
            land_plan.restarted(landed, [2], SEEN, said_epoch=1)
        assert refused.value.reason == "topic_cut"
        assert "stream.epoch = 2" in str(refused.value.hint)
        found = land_plan.restarted(replace(landed, epoch=2), [2], SEEN, said_epoch=1)
        assert found.cursors == (*LANDED.cursors[:2], Cursor(3, 900, 800))

    def test_a_topic_made_again_needs_a_new_epoch(self) -> None:
        other = replace(SEEN, topic_id="cd" * 16)
        with pytest.raises(Refused) as refused:
            land_plan.begin(LANDED, other, 1)
        assert refused.value.reason == "topic_recreated"
        assert "stream.epoch to 2" in str(refused.value.hint)
        fresh = land_plan.begin(LANDED, other, 2)
        assert fresh.cursors == (Cursor(0), Cursor(0), Cursor(3))
        assert (fresh.epoch, fresh.first_ms) == (2, 100)
        assert fresh.source != LANDED.source

    def test_a_raised_epoch_goes_on_in_the_same_topic_and_a_lower_one_is_refused(self) -> None:
        assert land_plan.begin(LANDED, SEEN, 2).cursors == LANDED.cursors
        with pytest.raises(Refused, match="landed with 1"):
            land_plan.begin(LANDED, SEEN, 0)


def commit(id_: int, parent: int | None, **said: str) -> snapshots.Snapshot:
    return snapshots.Snapshot(
        id_, parent, "append", {f"impressions.{k}": v for k, v in said.items()}
    )


def test_a_landing_speaks_before_a_close_that_copied_an_older_one() -> None:
    """Close read snapshot 1, a landing came between, then close committed on top."""
    through = "valid-through-ms"
    there = {
        1: commit(1, None, operation="land", **{through: "100"}),
        2: snapshots.Snapshot(
            2, 1, "append",
            {"impressions.valid-through-ms": "200", "impressions.operation": "land"}
            | LANDED.properties(),
        ),
        3: commit(3, 2, operation="close", **{through: "100"}),
    }  # fmt: skip
    found = snapshots.state_of(there, 3)
    assert (found.valid_through_ms, found.landed, found.landed_id) == (200, LANDED, 2)
    assert [c.id for c in found.since] == [3]
    forgotten = snapshots.state_of({3: there[3]}, 3)
    assert (forgotten.valid_through_ms, forgotten.landed) == (100, None)
