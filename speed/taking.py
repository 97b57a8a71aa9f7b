"""Natural batches: whatever has come is taken as soon as what was taken before is done.

While a flush is under way, fetches gather in a queue; the next flush takes all of them. So nothing
waits while the worker has nothing to do, and under load flushes grow by themselves. A least time
between two of them bounds what small flushes cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from impressions.clock import monotonic_s


async def taken(queue: Any, at_most: int, apart_s: float) -> AsyncIterator[list[Any]]:
    """What a queue of Faust gets, in order, all that is there at once.

    Args:
        queue: ends the iteration by raising StopAsyncIteration, as Faust ends an agent.
        at_most: how many together.
        apart_s: from the beginning of one batch to that of the next, at least.
    """
    while True:
        try:
            batch = [await queue.get()]
            began_s = monotonic_s()
            while len(batch) < at_most and queue.qsize():
                batch.append(queue.get_nowait())
        except StopAsyncIteration:
            return
        yield batch
        await asyncio.sleep(began_s + apart_s - monotonic_s())
