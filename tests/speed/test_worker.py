"""A real worker on a real broker, when nothing goes wrong; tests/faults has what does."""

import pytest

from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, assert_exact, workers
from tests.live import everything_sent, until
from tests.speed.traffic import Traffic

pytestmark = pytest.mark.kafka


def test_live_traffic_is_exact_and_its_counts_balance(tmp_path, broker):
    """Resends, late, early, out-of-window and broken impressions; read = the sum of outcomes."""
    settings = stream_settings(tmp_path, broker, slot_seconds=20, speed=QUICK)
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        traffic = Traffic(settings, SEED)
        traffic.send(400)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=500)
        told = everything_sent(settings)
        until(
            lambda: worker.metric("impressions_events_total") == sum(len(log[3]) for log in told),
            "applied + duplicate + rejected = read",
        )
        for outcome in ("applied", "duplicate", "rejected"):
            assert worker.metric(f'impressions_events_total{{layer="speed",outcome="{outcome}"') > 0
        assert worker.stop() == 0
        assert "Traceback" not in worker.log
        assert "older-block" not in worker.log, "its own records are nobody else's"
