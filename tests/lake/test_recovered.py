"""Cursors of a table whose landings were forgotten, found again from its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from batch.lake import snapshots, tables
from batch.lake.arrow_columns import micros, table_of
from batch.lake.columns import RAW_COLUMNS
from batch.lake.cursor import Cursor, Landed
from batch.lake.data_file_writer import target_of, write
from batch.lake.guarded_commit import commit
from batch.landing import shortfall
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings

NOW_MS = 20_000 * DAY_MS
START = Landed("t", "ab" * 16, 1, None, (Cursor(2), Cursor(0)))
USUAL = [(offset, NOW_MS + offset) for offset in range(5, 9)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", partitions=2)


def recovered(settings: Settings, records: list[tuple[int, int]]) -> Landed | None:
    """Of a table with a row for each (offset, ingest time), all of partition 0."""
    (raw,) = tables.create_if_missing(settings, tables.RAW)
    target, files = target_of(raw), []
    for slot_ms in {ms // DAY_MS * DAY_MS for _, ms in records}:
        found = np.array([r for r in records if 0 <= r[1] - slot_ms < DAY_MS], np.int64)
        n = np.arange(len(found))
        rows = table_of(
            RAW_COLUMNS, len(found), ingest_slot=micros(0 * n + slot_ms), shard=0,
            profile_id=n, title_id=n, event_time=micros(found[:, 1]),
            ingest_time=micros(found[:, 1]), log_offset=found[:, 0], source=START.source,
        )  # fmt: skip
        files += write(target, {"ingest_slot": slot_ms * 1000}, rows)
    commit(raw, files, {})
    raw = tables.require(settings, tables.RAW, hint="")
    assert snapshots.state(raw).landed is None
    return shortfall.recovered(raw, snapshots.main_id(raw), START)


def test_a_table_without_rows_of_the_topic_has_none(settings: Settings) -> None:
    assert recovered(settings, []) is None


def test_the_newest_record_is_where_landing_goes_on(settings: Settings) -> None:
    found = recovered(settings, USUAL)
    assert found is not None
    assert found.cursors == (Cursor(9, NOW_MS + 8), START.cursors[1])
    assert found.first_ms == NOW_MS + 5


@pytest.mark.parametrize("days", [60, 338, 3 * 365])
@pytest.mark.parametrize("offset", [9, 8], ids=["a record", "a row of a record"])
def test_one_record_far_ahead_does_not_say_how_far_raw_is_complete(
    settings: Settings, days: int, offset: int
) -> None:
    """A broker's clock and a device's were `days` ahead together, and right in the next record. Or
    somebody changed one row: other rows of its record have another time."""
    far_ms = NOW_MS + days * DAY_MS
    found = recovered(settings, [*USUAL, (offset, far_ms), (10, NOW_MS + 10)])
    assert found is not None
    assert found.cursors[0] == Cursor(11, NOW_MS + 10, suspect_ms=far_ms)


def test_two_records_after_a_long_silence_agree_and_count(settings: Settings) -> None:
    later_ms = NOW_MS + 30 * DAY_MS
    found = recovered(settings, [*USUAL, (9, later_ms), (10, later_ms + 2 * DAY_MS)])
    assert found is not None
    assert found.cursors[0] == Cursor(11, later_ms + 2 * DAY_MS)
