"""What a partition's store claims to hold of the delta topic."""

from __future__ import annotations

from pathlib import Path

from impressions.deltas.store import DeltaStore, PartitionState, open_primary
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.settings.model import Settings
from speed.partitions.delta_position import reached
from speed.partitions.partition import Partition


def opened(path: Path, next_offset: int) -> tuple[Partition, DeltaStore]:
    """Partition 0, restored through a delta offset."""
    settings = Settings(home=path, partitions=1)
    store = open_primary(path / "store")
    store.write((), {0: PartitionState(bytes(16), next_offset, restoring=False)})
    start = Heartbeat(0, 1, 1, bytes(16), bytes(16), -1, 0, FROM_THE_FIRST_MS, FROM_THE_FIRST_MS)
    return Partition(settings, store, start), store


def test_records_of_another_worker_are_a_gap_that_is_not_claimed(tmp_path: Path) -> None:
    """A worker that was paused past its session still writes, after what the new owner wrote. Had
    its store claimed all before that, its next start would never read the owner's blocks."""
    partition, store = opened(tmp_path, 10)
    partition.keep_heartbeat(partition.heartbeat, [(10, 12)])
    assert partition.next_delta_offset == 12
    partition.keep_heartbeat(partition.heartbeat, [(15, 17)])
    assert partition.next_delta_offset == 12
    store.close()


def test_a_gap_that_holds_nothing_new_is_closed(tmp_path: Path) -> None:
    """The records in it were compared."""
    partition, store = opened(tmp_path, 10)
    partition.keep_heartbeat(partition.heartbeat, [(11, 13), (14, 15)])
    partition.know([(13, 14)])
    partition.know([(10, 11)])
    partition.keep_heartbeat(partition.heartbeat, [(15, 16)])
    assert partition.next_delta_offset == 16
    store.close()


def test_reached_is_the_end_of_what_is_known_without_a_gap() -> None:
    assert reached(5, [(8, 9), (5, 7)]) == (7, [(8, 9)])
    assert reached(5, [(3, 6), (6, 8), (8, 9)]) == (9, [])
    assert reached(5, []) == (5, [])


def test_what_is_known_after_a_gap_stays_small() -> None:
    """A heartbeat comes four times a second, and a foreign record may never be compared."""
    after_gap: list[tuple[int, int]] = []
    for offset in range(7, 1_000):
        at, after_gap = reached(5, [*after_gap, (offset, offset + 1)])
        assert (at, after_gap) == (5, [(7, offset + 1)])
