"""What the watchdog sees: each partition for itself, and a restore by what it has read."""

import pytest

from speed import movement as progress_module
from speed.movement import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that move when the test says so."""
    now = [100.0]
    monkeypatch.setattr(progress_module, "monotonic_s", lambda: now[0])
    return now


def test_a_partition_that_stands_still_is_not_hidden_by_one_that_moves(clock):
    progress = Progress()
    progress.watch([0, 1])
    for _ in range(30):
        clock[0] += 1
        progress.moved(0)
    assert progress.slowest() == (1, 30)


def test_a_long_restore_counts_for_nobody_else_and_moves_with_what_it_reads(clock):
    """Two partitions are there, a third is opened for two minutes; then all begin again."""
    progress = Progress()
    progress.watch([0, 1])
    clock[0] += 10
    progress.watch([2])
    for _ in range(120):
        clock[0] += 1
        progress.moved(2)
        progress.moved(0)
        assert progress.slowest() == (2, 0)
    clock[0] += 7
    assert progress.slowest() == (2, 7), "a restore that stands still shows"
    progress.watch([0, 1, 2])
    assert progress.slowest()[1] == 0


def test_a_worker_without_partitions_is_idle_and_never_stands_still(clock):
    progress = Progress()
    clock[0] += 9
    assert (progress.idle_s(), progress.slowest()) == (9, None)
    progress.watch([3])
    clock[0] += 9
    assert (progress.idle_s(), progress.slowest()) == (0, (3, 9))
