"""What the watchdog sees: each partition for itself, and a restore by what it has read."""

import pytest

from speed.partitions import movement
from speed.partitions.movement import Movement, Movements


@pytest.fixture
def clock(monkeypatch):
    """Seconds that move when the test says so."""
    now = [100.0]
    monkeypatch.setattr(movement, "monotonic_s", lambda: now[0])
    return now


def test_a_partition_that_stands_still_is_not_hidden_by_one_that_moves(clock):
    movements, moving = Movements(), Movement(0)
    movements.watch([moving, Movement(1)])
    for _ in range(30):
        clock[0] += 1
        moving.moved()
    assert movements.slowest() == (1, 30)


def test_a_long_restore_counts_for_no_other_and_moves_with_what_it_reads(clock):
    """Two partitions are open, a third is opened for two minutes; then all begin again."""
    movements, opened, opening = Movements(), [Movement(0), Movement(1)], Movement(2)
    movements.watch(opened)
    clock[0] += 10
    movements.watch([opening])
    for _ in range(120):
        clock[0] += 1
        opening.moved()
        opened[0].moved()
        assert movements.slowest() == (2, 0)
    clock[0] += 7
    assert movements.slowest() == (2, 7), "a restore that stands still shows"
    movements.watch([*opened, opening])
    assert movements.slowest()[1] == 0


def test_a_worker_without_partitions_is_idle_and_never_stands_still(clock):
    movements = Movements()
    clock[0] += 9
    assert (movements.idle_s(), movements.slowest()) == (9, None)
    movements.watch([Movement(3)])
    clock[0] += 9
    assert (movements.idle_s(), movements.slowest()) == (0, (3, 9))
