"""History from files beside a topic, and the command line of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch.land import command
from impressions.core.errors import NotReady, Refused, UsageError
from impressions.settings.model import Settings
from tests.broker import TestBroker
from tests.integration import landing
from tests.integration.history import write_parquet
from tests.integration.live import arrived, land, live_lake, logs, send, state


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.kafka
def test_files_from_when_the_topic_had_begun_are_refused(
    spark: SparkSession, tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Older ones are imported, and claim no time that the topic has to speak for."""
    lake = live_lake(tmp_path / "home", broker, slot_seconds=86_400)
    send(lake, logs(1, 20))
    first_ms = min(log[2] for log in arrived(lake.settings))

    def file(ingest_ms: int) -> str:
        row = landing.one_row(seen_at=ingest_ms - 1, arrived=ingest_ms, batch=ingest_ms)
        return write_parquet(tmp_path / f"{ingest_ms}.parquet", [row])

    new = file(first_ms)
    with pytest.raises(Refused) as refused:
        landing.land(lake, capsys, new)
    assert refused.value.reason == "overlap"
    landing.land(lake, capsys, file(first_ms - 1))
    assert state(lake).valid_through_ms == first_ms
    land(lake)
    landed = state(lake)
    assert landed.landed.first_ms == first_ms
    with pytest.raises(Refused):
        landing.land(lake, capsys, new)
    with pytest.raises(UsageError, match="its landings say"):
        landing.land(lake, capsys, new, valid_through="2100-01-01")
    landing.land(lake, capsys, file(first_ms - 2))
    assert state(lake).landed == landed.landed
    assert state(lake).valid_through_ms == landed.valid_through_ms
    assert land(lake).counts["records"] == 0


@pytest.mark.parametrize(
    ("flags", "refusal"),
    [
        ({"every": "1h", "once": True}, "--once"),
        ({"every": "1h", "dry_run": True}, "--dry-run"),
        ({"map_": ["profile_id=user"]}, "--from-files"),
        ({"valid_through": "2026-01-01"}, "--from-files"),
        ({"from_files": ["a.csv"], "every": "1h"}, "the topic"),
        ({"forget": ["a.csv"], "accept_loss": True}, "--forget"),
        ({"every": "soon"}, "30s"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path: Path, flags: dict[str, Any], refusal: str) -> None:
    """Said before Spark starts."""
    with pytest.raises(UsageError) as wrong:
        command(settings=Settings(home=tmp_path), **flags)
    assert refusal in str(wrong.value)


def test_without_a_broker_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no Kafka is configured"):
        command(settings=Settings(home=tmp_path))
