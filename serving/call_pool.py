"""Thread pools that count the calls they hold, and how a gRPC handler gets a pool of its own.

A server has one such pool for calls and one for streams. Health checks and reflection have other
threads, so a full server still answers health checks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Behaviour = Callable[..., Any]


class CallPool(ThreadPoolExecutor):
    """A thread pool that knows how many calls it holds, running or queued.

    gRPC submits exactly one task per call, so the end of a task is the end of a call, and no call
    is counted for longer than it lasts.
    """

    def __init__(self, capacity: int, name: str):
        super().__init__(max_workers=capacity, thread_name_prefix=name)
        self.capacity, self._held, self._lock = capacity, 0, threading.Lock()

    @property
    def idle(self) -> bool:
        return self._held == 0

    @property
    def full(self) -> bool:
        return self._held >= self.capacity

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self._held += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:  # shut down
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any] | None) -> None:
        with self._lock:
            self._held -= 1


def on_pool(pool: ThreadPoolExecutor, behaviour: Behaviour, **attributes: Any) -> Behaviour:
    """The behaviour, run by gRPC on this pool instead of the server's."""

    def call(*arguments: Any) -> Any:
        return behaviour(*arguments)

    call.__dict__.update(experimental_thread_pool=pool, **attributes)
    return call
