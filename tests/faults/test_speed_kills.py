"""Workers killed at random moments, their local state lost or old: the stream stays exact."""

from __future__ import annotations

import random
import shutil
import statistics
import time

import pytest

from tests.broker import stream_settings
from tests.faults.size import scaled
from tests.faults.stream import (
    QUICK,
    SEED,
    Flow,
    applied_by,
    assert_exact,
    wait_applied,
    workers,
)
from tests.live import source_ends, unapplied, until
from tests.speed.traffic import Traffic

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, slot_seconds=20, speed=QUICK)


@pytest.mark.slow
@pytest.mark.representative
def test_kill_9_at_any_moment_loses_nothing_and_counts_nothing_twice(settings, tmp_path):
    """While records flow. A victim that was in mid-work had applied some and leaves some; the next
    one applies them, and how long that takes from the kill on is printed."""
    pick, in_mid_work, recovered_s = random.Random(SEED), 0, []
    kills = scaled(3, 25)
    with workers(settings, tmp_path) as start, Flow(settings, SEED, records_per_s=300) as flow:
        worker = start().ready()
        for _ in range(kills):
            before = applied_by(worker)
            until(lambda w=worker, b=before: applied_by(w) > b, "it works")
            time.sleep(pick.uniform(0.05, 0.5))  # the moment of the kill is what is random here
            worker.kill()
            killed_s, ends = time.monotonic(), sum(source_ends(settings).values())
            in_mid_work += unapplied(settings) > 0
            worker = start().ready()
            until(lambda w=worker, e=ends: applied_by(w) >= e, f"recovered; seed {SEED}", 60)
            recovered_s.append(time.monotonic() - killed_s)
        flow.end()
        wait_applied(worker, settings)
        assert_exact(settings, tmp_path, at_least=500)
    assert in_mid_work > 0, f"seed {SEED}"
    print(
        f"{kills} kills, {in_mid_work} in mid-work, {flow.traffic.sent} records, recovered in "
        f"{statistics.median(recovered_s):.1f} s (median), {max(recovered_s):.1f} s (worst)"
    )


@pytest.mark.slow
def test_local_state_that_is_old_is_brought_up_to_date_from_the_topic(settings, tmp_path):
    """And a log that was seen after the copy was made is still known: its resend counts nothing.
    State that is gone altogether: tests/faults/test_speed_compaction.py."""
    traffic, old = Traffic(settings, SEED + 3), tmp_path / "old"
    with workers(settings, tmp_path) as start:
        for run in range(2):
            worker = start().ready()
            traffic.send(100)
            traffic.flush()
            wait_applied(worker, settings)
            assert worker.stop() == 0
            if run == 0:
                shutil.copytree(settings.speed_dir, old)
        shutil.rmtree(settings.speed_dir)
        shutil.copytree(old, settings.speed_dir)
        last = start().ready()
        traffic.resend_all()
        traffic.send(100)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=300)
        assert last.metric('impressions_events_total{layer="speed",outcome="duplicate"') > 0
