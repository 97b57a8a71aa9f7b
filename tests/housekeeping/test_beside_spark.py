"""After compact: housekeeping, and all that reads the lake goes on as before, Spark too."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch.compact import compact, recompute_published
from batch.compacting.job import Compacting
from batch.housekeeping import removed as report
from batch.housekeeping.run import run
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.lake.needed_files import NeededFiles
from batch.lake.stored_files import listed
from impressions.clock import now_ms
from impressions.core.spec import DAY_MS
from impressions.terminal.report import start_run
from tests.housekeeping.world import rules
from tests.integration.conftest import Lake, new_lake
from tests.integration.raw_events import CUTOVER_MS, edges, write_closed

WEEK_MS = 7 * DAY_MS


def job(lake: Lake, cutover_ms: int) -> Compacting:
    return Compacting(lake.settings, cutover_ms, start_run("compact"))


@pytest.mark.spark
@pytest.mark.slow
def test_a_generation_is_the_same_when_it_is_computed_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three generations, of which two stay; a snapshot is old after no time here. Java reads what
    Python has removed from, and commits to it."""
    lake = new_lake(tmp_path / "home")
    write_closed(lake, edges())
    dates = [CUTOVER_MS - 2 * WEEK_MS, CUTOVER_MS - WEEK_MS, CUTOVER_MS]
    audits = lake.settings.audits.model_copy(update={"volume_generations": 0})
    keep = lake.settings.housekeeping.model_copy(
        update={"keep_generations": 2, "keep_snapshots_days": 0}
    )
    settings = lake.settings.model_copy(update={"audits": audits, "housekeeping": keep})
    lake = Lake(settings, lake.spark)
    published = [compact(job(lake, cutover_ms)) for cutover_ms in dates]
    done = run(Context(settings, start_run("housekeeping"), Runner(), now_ms))
    assert rules(done)[report.GENERATIONS, "ema"] == 1
    assert rules(done)[report.FREED, "ema"] > 0
    ema = tables.require(settings, tables.EMA, hint="")
    assert snapshots.refs(ema).keys() == {"main", "gen_2026_11_08", "gen_2026_11_15"}
    for name in (tables.RAW, tables.EMA):
        table = tables.require(settings, name, hint="")
        keys = {file.key for file in listed(table) or ()}
        assert NeededFiles().of(table, snapshots.by_id(table).keys()) <= keys
    again = recompute_published(job(lake, dates[1]), lake.spark)
    assert again.extra["difference"]["rows"] == published[1].counts["entries"]
    assert compact(job(lake, dates[1])).extra["status"] == "already published"
