"""A poll ends by the bytes of its values: aiokafka's own drain, on records of visible sizes."""

import asyncio
import gc
from types import SimpleNamespace

from aiokafka.consumer.fetcher import Fetcher, FetchResult

from impressions.formats.flush_framing import KEPT_BYTES, MAX_VALUE_BYTES
from speed.fetch_memory import FetchMemory
from speed.fetches import Piece
from tests.live import until


class Unpacked:
    """Records of one partition that become values when they are taken, as aiokafka's do."""

    def __init__(self, sizes, memory):
        self.next_fetch_offset, self._sizes, self._memory = 0, sizes, memory

    def __iter__(self):
        return self

    def __next__(self):
        if self.next_fetch_offset == len(self._sizes):
            raise StopIteration
        self.next_fetch_offset += 1
        return len(self._memory.keep(bytes(self._sizes[self.next_fetch_offset - 1])))


def fetcher_with(memory, **sizes):
    """aiokafka's fetcher with these partitions fetched and no connection."""
    states = {at: SimpleNamespace(paused=False, position=0) for at in sizes}
    for state in states.values():
        state.consumed_to = lambda offset, state=state: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=states.get)
    fetcher = object.__new__(Fetcher)
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False)
    fetcher._wait_consume_future = None
    fetcher._records = {
        at: FetchResult(
            at, assignment=assignment, partition_records=Unpacked(each, memory), backoff=0
        )
        for at, each in sizes.items()
    }
    return fetcher


def polled(fetcher, memory):
    memory.measure()
    return asyncio.run(fetcher.fetched_records(None, max_records=memory))


def test_a_poll_takes_records_until_the_memory_is_full_and_the_next_goes_on():
    memory = FetchMemory(100)
    fetcher = fetcher_with(memory, a=[40, 40, 40, 40], b=[10])
    assert polled(fetcher, memory) == {"a": [40, 40, 40]}
    assert polled(fetcher, memory) == {"a": [40], "b": [10]}
    assert polled(fetcher, memory) == {}


def test_partitions_of_one_poll_share_the_memory():
    memory = FetchMemory(100)
    fetcher = fetcher_with(memory, a=[60], b=[60, 60], c=[1])
    assert polled(fetcher, memory) == {"a": [60], "b": [60]}
    assert polled(fetcher, memory) == {"b": [60], "c": [1]}


def test_small_records_are_one_poll_however_many():
    memory = FetchMemory(1 << 20)
    assert len(polled(fetcher_with(memory, a=[1] * 10_000), memory)["a"]) == 10_000


def test_of_a_value_that_is_too_large_only_its_beginning_counts():
    memory = FetchMemory(3 * KEPT_BYTES)
    large = MAX_VALUE_BYTES + 1
    assert polled(fetcher_with(memory, a=[large, large]), memory) == {"a": [KEPT_BYTES, KEPT_BYTES]}


def test_a_piece_counts_until_it_is_freed():
    """Faust holds the last ones until others come, which would never find free memory."""
    memory, piece = FetchMemory(100), Piece(0, [SimpleNamespace(value=bytes(100))])
    memory.hold(piece)
    memory.measure()
    assert memory.full
    memory.free(piece)
    memory.measure()
    assert not memory.full


def test_a_piece_counts_until_nothing_refers_to_it():
    memory = FetchMemory(100)
    piece = Piece(0, [SimpleNamespace(value=bytes(70)), SimpleNamespace(value=None)])
    memory.hold(piece)
    fetcher = fetcher_with(memory, a=[20, 20, 20, 20, 20, 20])
    assert polled(fetcher, memory) == {"a": [20, 20]}
    del piece
    assert polled(fetcher, memory) == {"a": [20, 20, 20, 20]}
    memory.hold(Piece(0, [SimpleNamespace(value=bytes(200))]))
    memory.measure()
    assert not memory.full


def test_a_dropped_piece_in_a_reference_cycle_is_collected():
    memory, piece = FetchMemory(100), Piece(0, [SimpleNamespace(value=bytes(100))])
    memory.hold(piece)
    piece.records[0].event = piece
    gc.disable()
    try:
        del piece
        memory.measure()
        assert memory.full
        until(lambda: not (memory.measure() or memory.full), "the memory to be free")
    finally:
        gc.enable()
