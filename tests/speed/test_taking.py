"""Whatever has come is taken as soon as what was taken before is done."""

from __future__ import annotations

import asyncio

from mode.utils.queues import FlowControlEvent, ThrowableQueue

from speed.taking import taken

AT_MOST = 4


async def batches(before: list[int], during: list[list[int]]) -> list[list[int]]:
    """What is taken of a queue of Faust that holds some before, and gets some in each flush."""
    queue: ThrowableQueue[int] = ThrowableQueue(flow_control=FlowControlEvent())
    for number in before:
        queue.put_nowait(number)
    found, coming = [], iter(during)
    async for batch in taken(queue, AT_MOST, 0.0):
        found.append(batch)
        more = next(coming, None)
        if more is None:
            queue._throw(StopAsyncIteration())  # as Faust ends an agent
        for number in more or ():
            queue.put_nowait(number)
    return found


def test_one_alone_does_not_wait_for_others() -> None:
    assert asyncio.run(batches([1], [])) == [[1]]


def test_what_came_during_a_flush_is_taken_together() -> None:
    assert asyncio.run(batches([1], [[2, 3], [4]])) == [[1], [2, 3], [4]]


def test_what_is_too_much_for_one_flush_is_taken_by_the_next() -> None:
    assert asyncio.run(batches([1, 2, 3, 4, 5, 6], [[]])) == [[1, 2, 3, 4], [5, 6]]
