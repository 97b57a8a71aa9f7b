"""A poll ends by the bytes of its values: aiokafka's own drain, on records of visible sizes."""

import asyncio
import gc
from types import SimpleNamespace

from aiokafka.consumer.fetcher import Fetcher, FetchResult

from impressions.formats.flush_framing import KEPT_BYTES, MAX_VALUE_BYTES
from speed.fetch_memory import Room
from speed.fetches import Piece
from tests.live import until


class Unpacked:
    """Records of one partition that become values when they are taken, as aiokafka's do."""

    def __init__(self, sizes, room):
        self.next_fetch_offset, self._sizes, self._room = 0, sizes, room

    def __iter__(self):
        return self

    def __next__(self):
        if self.next_fetch_offset == len(self._sizes):
            raise StopIteration
        self.next_fetch_offset += 1
        return len(self._room.keep(bytes(self._sizes[self.next_fetch_offset - 1])))


def fetcher_with(room, **sizes):
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
            at, assignment=assignment, partition_records=Unpacked(each, room), backoff=0
        )
        for at, each in sizes.items()
    }
    return fetcher


def polled(fetcher, room):
    room.measure()
    return asyncio.run(fetcher.fetched_records(None, max_records=room))


def test_a_poll_takes_records_until_its_room_is_full_and_the_next_goes_on():
    room = Room(100)
    fetcher = fetcher_with(room, a=[40, 40, 40, 40], b=[10])
    assert polled(fetcher, room) == {"a": [40, 40, 40]}
    assert polled(fetcher, room) == {"a": [40], "b": [10]}
    assert polled(fetcher, room) == {}


def test_partitions_of_one_poll_share_its_room():
    room = Room(100)
    fetcher = fetcher_with(room, a=[60], b=[60, 60], c=[1])
    assert polled(fetcher, room) == {"a": [60], "b": [60]}
    assert polled(fetcher, room) == {"b": [60], "c": [1]}


def test_small_records_are_one_poll_however_many():
    room = Room(1 << 20)
    assert len(polled(fetcher_with(room, a=[1] * 10_000), room)["a"]) == 10_000


def test_of_a_value_that_is_too_large_only_its_beginning_counts():
    room = Room(3 * KEPT_BYTES)
    large = MAX_VALUE_BYTES + 1
    assert polled(fetcher_with(room, a=[large, large]), room) == {"a": [KEPT_BYTES, KEPT_BYTES]}


def test_a_piece_takes_room_until_it_is_freed():
    """Faust holds the last ones until others come, which would wait for their room for ever."""
    room, piece = Room(100), Piece(0, [SimpleNamespace(value=bytes(100))])
    room.hold(piece)
    room.measure()
    assert room.full
    room.free(piece)
    room.measure()
    assert not room.full


def test_a_piece_takes_room_until_nobody_holds_it():
    room = Room(100)
    piece = Piece(0, [SimpleNamespace(value=bytes(70)), SimpleNamespace(value=None)])
    room.hold(piece)
    fetcher = fetcher_with(room, a=[20, 20, 20, 20, 20, 20])
    assert polled(fetcher, room) == {"a": [20, 20]}
    del piece
    assert polled(fetcher, room) == {"a": [20, 20, 20, 20]}
    room.hold(Piece(0, [SimpleNamespace(value=bytes(200))]))
    room.measure()
    assert not room.full


def test_pieces_that_were_dropped_in_a_circle_do_not_take_room_for_ever():
    room, piece = Room(100), Piece(0, [SimpleNamespace(value=bytes(100))])
    room.hold(piece)
    piece.records[0].event = piece
    gc.disable()
    try:
        del piece
        room.measure()
        assert room.full
        until(lambda: not (room.measure() or room.full), "the room to be free")
    finally:
        gc.enable()
