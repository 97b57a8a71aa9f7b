"""The heartbeat speaks of blocks that are there, also when the broker refuses some of them."""

import asyncio
import os

import pytest

from impressions import heartbeat
from impressions.kafka.admin import connect
from speed.publisher import Publisher
from tests.broker import stream_settings
from tests.live import last_values

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, partitions=1)


def publish(settings, blocks) -> list[tuple[int, int]]:
    async def run():
        publisher = Publisher(settings)
        await publisher.start()
        try:
            return await publisher.publish(0, blocks, (heartbeat.KEY, b"beat"))
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
    assert list(last_values(settings).items()) == [*blocks, (heartbeat.KEY, b"beat")]


def test_a_heartbeat_is_not_published_when_a_block_before_it_was_refused(settings):
    """Otherwise the next start would skip the records behind blocks that nobody has."""
    with connect(settings) as admin:
        admin.alter(settings.kafka.deltas_topic, {"max.message.bytes": "500000"})
    with pytest.raises(Exception, match="MessageSizeTooLarge"):
        publish(settings, blocks_of([100, 900_000, 900_000, 100]))
    assert heartbeat.KEY not in last_values(settings)
