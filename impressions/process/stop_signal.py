"""SIGTERM and SIGINT as an event, which any thread may wait for, with or without an end.

    with stopping_on(*END) as stopping:
        stopping.wait()

A handler that set the event itself would do it in the main thread, between any two instructions:
where that thread was just entering or leaving a wait on the event, it holds the event's own lock,
and would wait for itself for ever. And the kernel may hand a signal to any thread, so that a main
thread asleep without end never comes to run its handler. Here the number of the signal goes through
a pipe, written by the interpreter's own handler in whichever thread it lands, to a thread that sets
the event.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

END = (signal.SIGTERM, signal.SIGINT)
_CLOSED = 0  # no signal has this number


@contextlib.contextmanager
def stopping_on(
    *signals: signal.Signals, said: Callable[[], object] | None = None
) -> Iterator[threading.Event]:
    """An event that the first of these signals sets, for the length of the block.

    Only from the main thread. `said` is called once, before the event is set, from another thread.
    """
    stopping = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while (numbers := os.read(reader, 64)) and _CLOSED not in numbers:
            if set(numbers) & set(signals) and not stopping.is_set():
                if said is not None:
                    said()
                stopping.set()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _nothing) for number in signals}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        os.write(writer, bytes([_CLOSED]))
        listener.join()
        os.close(reader)
        os.close(writer)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The interpreter's own part has written the number by now."""
