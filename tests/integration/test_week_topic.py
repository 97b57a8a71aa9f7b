"""`impressions week` where a topic is landed: until the date, with rows that were gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch.lake import tables
from impressions.cli.week import STEPS
from impressions.clock import now_ms
from impressions.history.run_history import RunHistory
from impressions.steps import report, running
from impressions.steps.asked import Week
from impressions.steps.running import Gone
from oracle import naive
from tests.broker import TestBroker
from tests.compare import differences
from tests.integration.conftest import Lake
from tests.integration.live import arrived, live_lake, logs, next_slot, send
from tests.integration.raw_events import ema_rows
from tests.tolerance import FLOAT64

pytestmark = [
    pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_800),
]  # fmt: skip


def go(lake: Lake, cutover_ms: int) -> list[Gone]:
    """Up to the published generation."""
    return running.go(STEPS[:-1], Week(lake.settings, now_ms, cutover_ms=cutover_ms))


def test_the_topic_is_landed_until_the_date_and_gone_rows_are_back(
    spark: SparkSession, tmp_path: Path, broker: TestBroker
) -> None:
    """Before the second date somebody deletes rows of raw: its generation has them again, and the
    history says so."""
    lake = live_lake(tmp_path, broker, audits={"sample_profiles": 0, "volume_generations": 0})
    for seed in (1, 2):
        send(lake, logs(seed, 30))
        cutover_ms = next_slot(lake)
        gone = go(lake, cutover_ms)
        assert report.exit_code(gone) == 0, [one.line for one in gone]
        known = [log for log in arrived(lake.settings) if log[2] < cutover_ms]
        applied = naive.accept(known, lake.settings.spec.slot_ms)[0]
        assert differences(ema_rows(lake), naive.answers(applied, cutover_ms), FLOAT64) == []
        tables.require(lake.settings, tables.RAW, "land").delete("profile_id < 5")
    runs = RunHistory(lake.settings.history_uri).runs("land")
    healed = [(run.counts["repaired"] > 0, e.what) for run in runs for e in run.events]
    assert healed == [(True, "rows that were gone are landed again")]
    assert "rows that were gone came back" in gone[0].line
