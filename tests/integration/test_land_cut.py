"""Landing from a topic that was cut and filled again: refused, then landed again."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from batch.jobs.tasks import Runner
from batch.lake import tables
from batch.landing import round as landing
from batch.landing.job import Landing
from batch.landing.outcome import outcome_of
from impressions.clock import now_ms
from impressions.core.errors import Refused
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run
from tests.broker import TestBroker, stream_settings
from tests.integration.live import send_bytes
from tests.speed.records import record_bytes

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def land(settings: Settings) -> Outcome:
    return outcome_of(landing.land(Landing(settings, start_run("land"), Runner(), now_ms)))


def send(settings: Settings, first_log: int, logs: int) -> None:
    event = {"title": 1, "location": 0, "event_ms": now_ms(), "played": 0, "dwell_s": 0.0}
    numbers = range(first_log, first_log + logs)
    send_bytes(settings, [(0, record_bytes((1, n, [event]))) for n in numbers])


def logs_of(settings: Settings) -> list[int]:
    table = tables.find(settings, tables.RAW)
    assert table is not None
    found: list[int] = table.scan(selected_fields=("log_id",)).to_arrow()["log_id"].to_pylist()
    return sorted(found)


def test_a_topic_that_was_cut_is_refused_until_the_epoch_says_so(tmp_path: Path) -> None:
    """30 logs were landed; the broker lost them, and 50 others are at their offsets."""
    with contextlib.closing(TestBroker(tmp_path / "broker")) as broker:
        settings = stream_settings(
            tmp_path, broker, 1, slot_seconds=3600, land={"clock_margin_s": 0}
        )
        send(settings, 1, 30)
        land(settings)
        assert land(settings).counts["commits"] == 0, "it is the same log"
        broker.cut(settings.kafka.topic)
        send(settings, 101, 50)
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                land(settings)
            assert refused.value.reason == "topic_cut"
        assert logs_of(settings) == list(range(1, 31))
        stream = settings.stream.model_copy(update={"epoch": 2})
        again = settings.model_copy(update={"stream": stream})
        assert land(again).counts["landed"] == 50
        assert logs_of(settings) == [*range(1, 31), *range(101, 151)]
        send(settings, 151, 1)
        assert land(again).counts["landed"] == 1
