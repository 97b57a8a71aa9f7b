"""What to read of a topic next, and how far raw is complete: the plan, without a broker."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batch import land_plan, snapshots
from batch.land_plan import Log, Loss, Range
from batch.landed import Cursor, Landed, from_properties
from impressions.errors import Refused

LANDED = Landed("t", "ab" * 16, 1, 100, (Cursor(10, 500), Cursor(0), Cursor(7, 900)))
LOG = Log(
    "t", "ab" * 16, asked_ms=2000, first=(0, 0, 3), end=(25, 0, 7), stop=(25, 0, 7), first_ms=100
)


def test_the_offsets_are_readable_properties_and_come_back() -> None:
    said = LANDED.properties()
    assert said["impressions.kafka.next-offsets"] == "[10,0,7]"
    assert said["impressions.kafka.ingest-ms"] == "[500,0,900]"
    assert from_properties(json.loads(json.dumps(said))) == LANDED
    empty = replace(LANDED, first_ms=None)
    assert from_properties(empty.properties()) == empty
    assert from_properties({"impressions.operation": "close"}) is None


def test_one_commit_reads_so_many_records_of_a_partition_and_none_of_an_idle_one() -> None:
    assert land_plan.ranges(LANDED, LOG, 10) == [Range(0, 10, 20, 500)]
    assert land_plan.ranges(LANDED, LOG, 100) == [Range(0, 10, 25, 500)]


def test_until_is_where_reading_stops() -> None:
    assert land_plan.ranges(LANDED, replace(LOG, stop=(12, 0, 7)), 100) == [Range(0, 10, 12, 500)]
    assert land_plan.ranges(LANDED, replace(LOG, stop=(4, 0, 7)), 100) == []


def test_a_topic_that_was_never_landed_begins_with_what_it_holds() -> None:
    assert land_plan.begin(None, LOG, 1).cursors == (Cursor(0), Cursor(0), Cursor(3))


def test_the_carried_ingest_time_never_steps_back() -> None:
    """A broker whose clock was set back: its records keep the newest time before them."""
    after = land_plan.advance(LANDED, [Range(0, 10, 20, 500)], {0: 450}, 100)
    assert after.cursors == (Cursor(20, 500), Cursor(0), Cursor(7, 900))


class TestValidThrough:
    """Partition 0 has records left, 1 never had any, 2 is landed to its end."""

    def test_a_partition_with_records_left_says_the_time_of_its_last_one(self) -> None:
        assert land_plan.valid_through(LANDED, LOG, 60, None) == 500

    def test_drained_and_silent_partitions_are_complete_up_to_the_question(self) -> None:
        drained = land_plan.advance(LANDED, [Range(0, 10, 25, 500)], {0: 1200}, 100)
        assert land_plan.valid_through(drained, LOG, 60, None) == 1940

    def test_what_lies_behind_until_is_not_claimed(self) -> None:
        drained = land_plan.advance(LANDED, [Range(0, 10, 25, 500)], {0: 1200}, 100)
        assert land_plan.valid_through(drained, LOG, 60, 1500) == 1500
        assert land_plan.valid_through(drained, LOG, 60, 9999) == 1940


class TestRefusals:
    def test_records_deleted_before_they_were_landed(self) -> None:
        """Named by partition and number; accepted, landing goes on behind them."""
        log = replace(LOG, first=(15, 0, 9), end=(25, 0, 9))
        lost = land_plan.losses(LANDED, log)
        assert lost == [Loss(0, 10, 15), Loss(2, 7, 9)]
        with pytest.raises(Refused, match=r"7 records .* partition 0: 5 .*; partition 2: 2"):
            land_plan.refuse(lost, log)
        cursors = land_plan.skip(LANDED, lost, log).cursors
        assert cursors == (Cursor(15, 500), Cursor(0), Cursor(9, 900))

    def test_a_log_that_ends_before_what_was_landed(self) -> None:
        """An unclean election cut it."""
        log = replace(LOG, end=(8, 0, 7))
        assert land_plan.losses(LANDED, log) == [Loss(0, 8, 10)]
        assert land_plan.skip(LANDED, [Loss(0, 8, 10)], log).cursors[0] == Cursor(8, 500)

    def test_a_topic_made_anew_needs_a_new_epoch(self) -> None:
        other = replace(LOG, topic_id="cd" * 16)
        with pytest.raises(Refused) as refused:
            land_plan.begin(LANDED, other, 1)
        assert refused.value.reason == "topic_recreated"
        assert "stream.epoch to 2" in str(refused.value.hint)
        fresh = land_plan.begin(LANDED, other, 2)
        assert fresh.cursors == (Cursor(0), Cursor(0), Cursor(3))
        assert (fresh.epoch, fresh.first_ms) == (2, 100)
        assert fresh.source != LANDED.source

    def test_a_raised_epoch_goes_on_in_the_same_topic_and_a_lower_one_is_refused(self) -> None:
        assert land_plan.begin(LANDED, LOG, 2).cursors == LANDED.cursors
        with pytest.raises(Refused, match="landed with 1"):
            land_plan.begin(LANDED, LOG, 0)


def commit(id_: int, parent: int | None, **said: str) -> snapshots.Snapshot:
    return snapshots.Snapshot(
        id_, parent, 0, "append", {f"impressions.{k}": v for k, v in said.items()}
    )


def test_a_landing_speaks_before_a_close_that_copied_an_older_one() -> None:
    """Close read snapshot 1, a landing came between, then close committed on top."""
    through = "valid-through-ms"
    commits = {
        1: commit(1, None, operation="land", **{through: "100"}),
        2: snapshots.Snapshot(
            2, 1, 0, "append",
            {"impressions.valid-through-ms": "200", "impressions.operation": "land"}
            | LANDED.properties(),
        ),
        3: commit(3, 2, operation="close", **{through: "100"}),
    }  # fmt: skip
    found = snapshots.state_of(commits, 3)
    assert (found.valid_through_ms, found.landed, found.landed_id) == (200, LANDED, 2)
    assert [c.id for c in found.since] == [3]
    forgotten = snapshots.state_of({3: commits[3]}, 3)
    assert (forgotten.valid_through_ms, forgotten.landed) == (100, None)
