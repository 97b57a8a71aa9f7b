"""`impressions close`: landed slots become sorted, flagged, one file per shard; nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from batch.close import command
from batch.closing import rewrite
from batch.lake import snapshots, tables
from batch.lake.columns import RAW_COLUMNS
from batch.lake.slot_states import SlotState, slot_states
from impressions.core.errors import NotReady
from impressions.core.shard import shard_of
from oracle import naive
from tests.integration.conftest import Lake, new_lake
from tests.integration.history import DAY, START, Log, counting, expected, logs
from tests.spark import writer

pytestmark = pytest.mark.spark

RAW = "lake.impressions.raw"


@pytest.fixture
def empty(spark: SparkSession, tmp_path: Path) -> Lake:
    lake = new_lake(tmp_path / "home")
    tables.create_if_missing(lake.settings, tables.RAW)
    return lake


@pytest.fixture
def close(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the verb and returns its run report."""

    def run(lake: Lake, **more: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "slot": None, "through": None, "again": False, "dry_run": False,
        }  # fmt: skip
        capsys.readouterr()
        command(settings=lake.settings, json=True, **(arguments | more))
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        return report

    return run


def append(lake: Lake, some: list[Log], valid_through_ms: int, offset: int = 0) -> None:
    """Lands logs as the hourly lander does: offsets in order of arrival, duplicates open."""
    rows = [
        (shard_of(profile, lake.settings.partitions), profile, e["title"], e["location"],
         e["event_ms"], ingest_ms, bool(e["played"]), e["dwell_s"], log_id, offset)
        for offset, (profile, log_id, ingest_ms, impressions) in enumerate(some, offset)
        for e in impressions
    ]  # fmt: skip
    columns = (
        "shard int, profile_id bigint, title_id bigint, location int, event_ms bigint, "
        "ingest_ms bigint, played boolean, dwell_s double, log_id bigint, log_offset bigint"
    )
    made = {
        "ingest_slot": F.timestamp_millis(F.col("ingest_ms") - F.col("ingest_ms") % DAY),
        "event_time": F.timestamp_millis("event_ms"),
        "ingest_time": F.timestamp_millis("ingest_ms"),
        "log_index": F.lit(0),
        "source": F.lit("kafka"),
    }
    df = lake.spark.createDataFrame(rows, columns).withColumns(made)
    for name, type_ in RAW_COLUMNS.items():
        if name not in df.columns:
            df = df.withColumn(name, F.lit(None).cast(type_))
    properties = {snapshots.VALID_THROUGH: str(valid_through_ms)}
    ordered = df.select(*RAW_COLUMNS)
    writer(ordered, RAW, properties).append()


def log(day: int, log_id: int | None = 7, profile: int = 1) -> Log:
    """One log with one impression, ingested a second into a day."""
    ingest_ms = START + day * DAY + 1000
    impression = {"title": 5, "location": 0, "event_ms": ingest_ms, "played": 1, "dwell_s": 1.5}
    return profile, log_id, ingest_ms, [impression]


def counted_days(lake: Lake) -> list[int]:
    return sorted((key[4] - START) // DAY for key in counting(lake).elements())


def raw_state(lake: Lake) -> snapshots.State:
    return snapshots.state(tables.find(lake.settings, tables.RAW))


def states(lake: Lake) -> dict[int, SlotState]:
    table = tables.find(lake.settings, tables.RAW)
    found = slot_states(table, snapshots.main_id(table))
    return {(slot - START) // DAY: state for slot, state in found.items()}


def valid_only(some: list[Log]) -> list[Log]:
    """What a lander puts in raw of these logs."""
    kept = [
        (p, i, ms, [e for e in impressions if naive.why_rejected(p, ms, e) is None])
        for p, i, ms, impressions in some
    ]
    return [
        (p, i, ms, [e | {"event_ms": ms if e["event_ms"] - ms > 300_000 else e["event_ms"]}
                    for e in impressions])
        for p, i, ms, impressions in kept if impressions
    ]  # fmt: skip


def test_closing_what_was_landed_gives_what_the_oracle_counts(
    empty: Lake, close: Callable[..., dict[str, Any]]
) -> None:
    """One run closes every slot, a second finds nothing to do and commits nothing."""
    made = logs(11)
    applied, counts = naive.accept(made)
    landed = valid_only(made)
    append(empty, landed, START + 30 * DAY)
    report = close(empty)
    assert report["counts"]["rows"] == counts["applied"] + counts["duplicate"]
    assert counting(empty) == expected(applied)
    assert all(state.closed for state in states(empty).values())
    before = raw_state(empty)
    assert before.valid_through_ms == START + 30 * DAY  # carried forward
    assert not close(empty)["changed"]
    assert raw_state(empty) == before


def test_each_slot_is_sorted_in_one_file(empty: Lake, close: Callable[..., dict[str, Any]]) -> None:
    """Three landings leave three files of a slot; closing leaves one, of all shards."""
    some = [log(0, log_id=i, profile=i) for i in range(40)]
    for i in range(3):
        append(empty, some[i::3], START + DAY)
    count = f"SELECT count(*) FROM {RAW}.files"
    assert empty.spark.sql(count).collect()[0][0] >= 3
    close(empty)
    assert empty.spark.sql(count).collect()[0][0] == 1
    assert counting(empty).total() == 40


def test_a_resend_is_judged_by_its_distance_in_slots(
    empty: Lake, close: Callable[..., dict[str, Any]]
) -> None:
    """Same slot, next slot: dropped. Next from a dropped one: dropped. Two slots on: counts."""
    append(empty, [log(0), log(0), log(1), log(2), log(4), log(5)], START + 9 * DAY)
    append(empty, [log(0, log_id=None), log(0, log_id=None)], START + 9 * DAY)
    close(empty)
    assert counted_days(empty) == [0, 0, 0, 4]


def test_a_slot_that_is_not_over_stays_open(
    empty: Lake, close: Callable[..., dict[str, Any]]
) -> None:
    """By default it is left alone; asked for by name it is refused with both times."""
    append(empty, [log(0), log(1)], START + DAY + 5)
    assert close(empty)["counts"]["slots"] == 1
    assert [state.closed for _, state in sorted(states(empty).items())] == [True, False]
    with pytest.raises(NotReady, match=r"end at 2026-01-03.*valid through 2026-01-02"):
        close(empty, slot=["2026-01-02"])
    with pytest.raises(NotReady, match="valid through 2026-01-02"):
        close(empty, through="2026-01-03")


def test_a_late_row_opens_its_slot_again_and_the_closed_one_after_it(
    empty: Lake, close: Callable[..., dict[str, Any]]
) -> None:
    """Day 1 counted log 7; a row of day 0 with log 7 makes that a duplicate."""
    append(empty, [log(1)], START + 9 * DAY)
    close(empty)
    assert counted_days(empty) == [1]
    append(empty, [log(0)], START + 9 * DAY)
    report = close(empty)
    assert report["counts"]["slots"] == 2
    assert counted_days(empty) == [0]


def test_rows_that_land_while_a_slot_is_rewritten_are_kept(
    empty: Lake, close: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is refused; only the slot that got them is computed again."""
    append(empty, [log(0), log(4, log_id=9)], START + 5 * DAY)
    write, tried = rewrite.commit, []

    def interleaved(table: Any, added: Any, *more: Any) -> int:
        tried.append({file.file_path for file in added})
        if len(tried) == 1:
            append(empty, [log(0), log(0, log_id=8)], START + 5 * DAY, offset=10)
        return write(table, added, *more)

    monkeypatch.setattr(rewrite, "commit", interleaved)
    close(empty)
    assert len(tried) == 2, "the first attempt met the conflict"
    assert tried[0] & tried[1], "the place that nobody touched was not done again"
    assert tried[0] - tried[1], "the other one was"
    assert states(empty)[0] == SlotState(rows=3, undecided=0)
    assert counted_days(empty) == [0, 0, 4]


def test_again_decides_once_more_after_rows_were_deleted_by_hand(
    empty: Lake, close: Callable[..., dict[str, Any]]
) -> None:
    """Without the first occurrence the second one counts; only --again looks at closed slots."""
    append(empty, [log(0), log(1)], START + 9 * DAY)
    close(empty)
    empty.spark.sql(f"DELETE FROM {RAW} WHERE ingest_slot = TIMESTAMP'2026-01-01 00:00:00'")
    assert not close(empty)["changed"]
    assert counted_days(empty) == []
    assert not close(empty, again=True, dry_run=True)["changed"]
    close(empty, again=True)
    assert counted_days(empty) == [1]


def test_before_anything_was_landed(
    spark: SparkSession, tmp_path: Path, close: Callable[..., dict[str, Any]]
) -> None:
    """Without a table: not ready, with the command to run. With an empty one: nothing to do."""
    lake = new_lake(tmp_path / "none")
    with pytest.raises(NotReady) as caught:
        close(lake)
    assert "impressions land" in str(caught.value.hint)
    tables.create_if_missing(lake.settings, tables.RAW)
    assert not close(lake)["changed"]
