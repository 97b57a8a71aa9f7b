"""A lander whose clock is wrong leaves a table that Spark reads and writes on, at once.

Iceberg's Java stamps with the clock of its host, and refuses a table whose history is out of order
by more than a minute, or goes on in its future. See tests/lake/test_wrong_clock.py.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch.closing.rewrite import Rewrite
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from impressions.clock import now_ms
from tests.broker import TestBroker
from tests.integration.live import arrived, expected_raw, land, live_lake, raw_name, raw_rows, send
from tests.integration.raw_events import event

_DAY_S = 86_400
_OFF_S = (30 * _DAY_S, 0, -_DAY_S, 0, 3_600, -365 * _DAY_S, 365 * _DAY_S, 0)

pytestmark = [pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow]


def test_landing_and_closing_on_any_clock_leave_a_table_for_spark(
    spark: SparkSession, tmp_path: Path, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ahead and back by an hour to a year: every row is there once, no snapshot is stamped before
    another or in the future, and a branch can be made and dropped, as the weekly run does."""
    lake = live_lake(tmp_path, broker, slot_seconds=86_400)
    true_s = time.time
    for n, off_s in enumerate(_OFF_S):
        send(lake, [(n, n + 1, [event(n + 1, now_ms())])])
        with monkeypatch.context() as wrong:
            wrong.setattr(time, "time", lambda off_s=off_s: true_s() + off_s)
            land(lake)
            table = tables.require(lake.settings, tables.RAW, hint="")
            state = snapshots.state(table)
            Rewrite(lake.settings, Runner()).attempt(table, state, [], {})
        assert raw_rows(lake) == expected_raw(arrived(lake.settings))
        for verb in ("CREATE", "DROP"):
            lake.spark.sql(f"ALTER TABLE {raw_name(lake)} {verb} BRANCH b{n}")
    metadata = tables.require(lake.settings, tables.RAW, hint="").metadata
    stamps = [entry.timestamp_ms for entry in metadata.snapshot_log]
    assert len(stamps) == 2 * len(_OFF_S)
    assert all(a <= b for a, b in itertools.pairwise(stamps)), stamps
    assert stamps[-1] <= now_ms()
