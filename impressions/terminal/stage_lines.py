"""Progress where stderr is no terminal: lines in a log instead of a bar.

    every 30 s      copy: 1.2 GiB of 3.4 GiB after 1 min 30 s
    at the end      copy: 3.4 GiB in 4 min 12 s         (or: copy: failed at 1.2 GiB after 3.4 s)

Where nothing is counted (the unit is "time") the lines hold the time alone.

A stage that ends within 2 s says nothing. The first text of a stage is its name: what a bar is
reported in between is for eyes that watch. `StageLines` is given the time and returns lines;
`stage_lines` gives it the clock, and a thread, because a stage that hangs calls nobody.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from impressions.clock import monotonic_s
from impressions.terminal.units import human_age, human_bytes

EVERY_S = 30.0
SHORT_S = 2.0
_LOOK_S = 1.0


class StageLines:
    """What one stage has to say; `now_s` is any clock that never steps back, in seconds."""

    def __init__(
        self, name: str, total: float | None, unit: Literal["bytes", "items", "time"], now_s: float
    ) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._done = 0.0
        self._began_s = self._said_s = now_s
        self._lock = threading.Lock()

    def advance(self, by: float = 1) -> None:
        with self._lock:
            self._done += by

    def set(self, completed: float, total: float | None = None) -> None:
        with self._lock:
            self._done = completed
            self._total = self._total if total is None else total

    def describe(self, text: str) -> None: ...

    def due(self, now_s: float) -> str | None:
        """The line of a stage that goes on; None until `EVERY_S` have passed since the last."""
        if now_s - self._said_s < EVERY_S:
            return None
        self._said_s = now_s
        if self._unit == "time":
            return f"{self._name}: {self._age(now_s)} so far"
        of = "" if not self._total else f" of {self._amount(self._total)}"
        return f"{self._name}: {self._amount(self._done)}{of} after {self._age(now_s)}"

    def end(self, now_s: float, failed: bool = False) -> str | None:
        """The last line; None where the stage was short."""
        if now_s - self._began_s <= SHORT_S:
            return None
        if self._unit == "time":
            return f"{self._name}: {'failed after ' if failed else ''}{self._age(now_s)}"
        if failed:
            return f"{self._name}: failed at {self._amount(self._done)} after {self._age(now_s)}"
        return f"{self._name}: {self._amount(self._done)} in {self._age(now_s)}"

    def _amount(self, number: float) -> str:
        return human_bytes(number) if self._unit == "bytes" else f"{number:,.0f}"

    def _age(self, now_s: float) -> str:
        return human_age(now_s - self._began_s)


@contextlib.contextmanager
def stage_lines(
    name: str,
    total: float | None,
    unit: Literal["bytes", "items", "time"],
    write: Callable[[str], None],
    seconds: Callable[[], float] = monotonic_s,
) -> Iterator[StageLines]:
    """A stage that tells `write` its lines while the block runs."""
    stage = StageLines(name, total, unit, seconds())
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            if line := stage.due(seconds()):
                write(line)

    watcher = threading.Thread(target=watch, name="stage-lines", daemon=True)
    watcher.start()
    failed = True
    try:
        yield stage
        failed = False
    finally:
        over.set()
        watcher.join()
        if line := stage.end(seconds(), failed):
            write(line)
