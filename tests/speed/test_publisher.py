"""The heartbeat speaks of blocks that are there, also when the broker refuses some of them."""

import asyncio
import os

import pytest

from impressions.formats import heartbeat
from impressions.formats.flush_framing import KEPT_BYTES
from impressions.kafka.admin import connect
from impressions.kafka.dead_letters import DeadLetter, read_dead_letter
from speed.publisher import Publisher
from tests.broker import stream_settings
from tests.compare import unlike
from tests.live import last_values, messages_of

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, partitions=1)


def publish(settings, blocks) -> list[tuple[int, int]]:
    async def run():
        publisher = Publisher(settings)
        await publisher.start()
        try:
            return (await publisher.publish(0, blocks, (heartbeat.KEY, b"beat"))).ranges
        finally:
            await publisher.stop()

    return asyncio.run(run())


def blocks_of(sizes: list[int]) -> list[tuple[bytes, bytes]]:
    """Blocks of so many bytes that do not compress."""
    return [(b"key-%d" % i, os.urandom(size)) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [[], [100, 100], [600_000] * 5])
def test_everything_is_in_the_topic_in_order_and_the_heartbeat_last(settings, sizes):
    blocks = blocks_of(sizes)
    ranges = publish(settings, blocks)
    assert [o for start, end in ranges for o in range(start, end)] == list(range(len(blocks) + 1))
    assert unlike(last_values(settings).items(), [*blocks, (heartbeat.KEY, b"beat")]) == []


def test_a_heartbeat_is_not_published_when_a_block_before_it_was_refused(settings):
    """Otherwise the next start would skip the records of blocks that are not there."""
    with connect(settings) as admin:
        admin.alter(settings.kafka.deltas_topic, {"max.message.bytes": "500000"})
    with pytest.raises(Exception, match="MessageSizeTooLarge"):
        publish(settings, blocks_of([100, 900_000, 900_000, 100]))
    assert heartbeat.KEY not in last_values(settings)


def dead_letter(offset: int, size: int) -> DeadLetter:
    """Of a record that does not compress."""
    return DeadLetter("t", 0, offset, -1, 1, ("undecodable",), (), os.urandom(size))


def reject(settings, dead_letters) -> None:
    async def run():
        publisher = Publisher(settings)
        await publisher.start()
        try:
            await publisher.reject(dead_letters)
        finally:
            await publisher.stop()

    asyncio.run(run())


def rejected(settings) -> list[DeadLetter]:
    messages = messages_of(settings, settings.kafka.rejected_topic)
    return [read_dead_letter(m.value(), m.headers()) for m in messages]


def test_dead_letters_of_any_number_and_size_are_all_there_in_order(settings):
    """More than are sent at a time, and one as large as a record can be."""
    dead_letters = [dead_letter(i, 10) for i in range(2_500)] + [
        dead_letter(2_500, 8 << 20),
        dead_letter(2_501, 10),
    ]
    reject(settings, iter(dead_letters))
    assert unlike(rejected(settings), dead_letters) == []


def test_a_dead_letter_that_its_topic_does_not_take_is_cut(settings):
    """An operator lowered the topic's limit: the worker goes on; the dead letter says its size."""
    with connect(settings) as admin:
        admin.alter(settings.kafka.rejected_topic, {"max.message.bytes": "500000"})
    dead_letters = [dead_letter(0, 10), dead_letter(1, 600_000), dead_letter(2, 10)]
    reject(settings, dead_letters)
    reject(settings, dead_letters)
    found = {each.offset: each for each in rejected(settings)}
    assert {k: len(x.value) for k, x in found.items()} == {0: 10, 1: KEPT_BYTES, 2: 10}
    assert found[1].value_bytes == 600_000
    assert unlike([found[1].value], [dead_letters[1].value[:KEPT_BYTES]]) == []
