"""Records of the delta topic of others: found among this worker's own, compared together."""

import asyncio
from types import SimpleNamespace

from impressions.settings.model import Settings
from speed.delta_reader import DeltaReader, ForeignRecord
from speed.foreign_records import compare
from speed.partitions.own_records import OwnRecords


def message(offset, partition=0, key=b"k", value=b"v"):
    """As librdkafka's reader gives them."""
    return SimpleNamespace(
        error=lambda: None,
        partition=lambda: partition,
        offset=lambda: offset,
        key=lambda: key,
        value=lambda: value,
    )


def foreign_among(messages, own):
    """What the reader hands over of these, when these ranges are the worker's own."""
    records = OwnRecords()
    records.add(own)
    partition = SimpleNamespace(own_records=records)
    reader = DeltaReader(Settings(), {0: partition}, lambda _: None)
    return [found for m in messages if (found := reader._foreign(m)) is not None]


def test_what_this_worker_wrote_is_passed_over():
    """Own are 0 to 2 and 5 to 7: between them, and behind, another one wrote."""
    found = foreign_among(map(message, range(9)), own=[(0, 3), (5, 8)])
    assert [record.offset for record in found] == [3, 4, 8]


def test_before_its_first_write_everything_is_foreign():
    assert foreign_among([message(4)], own=[]) == [ForeignRecord(0, 4, b"k", b"v")]


def test_tombstones_and_partitions_of_others_say_nothing():
    assert foreign_among([message(0, value=None), message(0, partition=1)], own=[]) == []


class Turns(asyncio.Lock):
    """A lock that counts how often it was taken."""

    taken = 0

    async def acquire(self):
        self.taken += 1
        return await super().acquire()


def test_all_that_waits_is_compared_in_one_turn():
    """While flushes follow each other, a turn for each record would let them pile up."""

    async def turns_for(batches):
        at = SimpleNamespace(settings=Settings(), open={}, busy=Turns(), foreign=asyncio.Queue())
        for offsets in batches:
            at.foreign.put_nowait([ForeignRecord(0, offset, b"k", b"v") for offset in offsets])
        comparing = asyncio.create_task(compare(at))
        await asyncio.sleep(0.01)
        comparing.cancel()
        return at.busy.taken, at.foreign.qsize()

    assert asyncio.run(turns_for([range(1_000), range(1_000, 3_000)])) == (1, 0)
