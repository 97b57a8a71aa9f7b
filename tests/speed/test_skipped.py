"""Records that were polled and not delivered: fetched again, though later ones came."""

import pytest

from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, assert_exact, wait_applied, workers
from tests.live import until
from tests.speed.test_worker import lag
from tests.speed.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_a_piece_that_was_not_delivered_is_fetched_again(tmp_path, broker):
    """The pieces after it are on their way when the worker seeks back, and newer than what comes
    then."""
    speed = {**QUICK, "batch_records": 64}
    settings = stream_settings(tmp_path, broker, 2, slot_seconds=20, speed=speed)
    traffic = Traffic(settings, SEED)
    traffic.send(2_000)
    traffic.flush()
    with workers(settings, tmp_path) as start:
        worker = start(module="tests.speed.skipping_worker").ready()
        wait_applied(worker, settings)
        assert_exact(settings, tmp_path, at_least=1_000)
        until(lambda: lag(settings) == 0, "the group has committed everything")
        assert worker.stop() == 0
    assert (worker.log.count("INFO skipped"), worker.log.count("WARNING gap")) == (2, 2)
