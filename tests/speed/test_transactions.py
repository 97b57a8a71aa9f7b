"""A source that is written in transactions: offsets that no record has, records nobody vouches for.

What reads the source reads it as the worker's client does, uncommitted: an offset must mean the
same to all, whatever became of a transaction.
"""

import pytest

from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, applied_by, assert_exact, wait_applied, workers
from tests.live import source_ends, until
from tests.speed.test_worker import lag
from tests.speed.traffic import Transactions

pytestmark = pytest.mark.kafka


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch_records", [8, pytest.param(10_000, marks=pytest.mark.representative)]
)
def test_a_backlog_of_small_transactions_is_worked_off(tmp_path, broker, batch_records):
    """Each marker is an offset that jumps, amid fetches that are cut into many pieces."""
    settings = stream_settings(
        tmp_path, broker, 2, slot_seconds=20, speed={**QUICK, "batch_records": batch_records}
    )
    traffic = Transactions(settings, SEED)
    for _ in range(60):
        traffic.send(50)
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        for _ in range(40):
            traffic.send(5)
        assert sum(source_ends(settings).values()) >= traffic.sent + 100
        wait_applied(worker, settings)
        assert_exact(settings, tmp_path, at_least=1_000)
        until(lambda: lag(settings) == 0, "monitors of the group see that nothing is left")
        assert worker.stop() == 0
        assert "WARNING" not in worker.log, "nothing was fetched twice, nothing stood still"


@pytest.mark.slow
def test_a_worker_starts_while_a_transaction_is_open_and_counts_what_is_in_it(tmp_path, broker):
    """Also if it is aborted later."""
    settings = stream_settings(tmp_path, broker, 2, slot_seconds=20, speed=QUICK)
    traffic = Transactions(settings, SEED)
    traffic.send(20)
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        wait_applied(worker, settings)
        traffic.begin(40)
        until(lambda: applied_by(worker) >= sum(source_ends(settings).values()), "they are applied")
        assert worker.stop() == 0
        worker = start().ready()
        wait_applied(worker, settings)
        assert_exact(settings, tmp_path, at_least=50)
        ends = source_ends(settings)
        traffic.abort()
        until(lambda: all(source_ends(settings)[p] > ends[p] for p in (0, 1)), "its markers")
        wait_applied(worker, settings)
        assert_exact(settings, tmp_path, at_least=50)
        assert worker.stop() == 0
