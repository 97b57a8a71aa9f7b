"""Whoever keeps what runs say is told here: the terminal knows nobody above it.

`listening(hear)` makes `hear` the one that is told, for a block; in a block within it, another.
Told are a Run when it starts, its Report when it has ended (report.py), and the Outcome of a verb
that prints a report of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

_listeners: list[Callable[[object], None]] = []


@contextlib.contextmanager
def listening(hear: Callable[[object], None]) -> Iterator[None]:
    _listeners.append(hear)
    try:
        yield
    finally:
        _listeners.pop()


def tell(what: object) -> None:
    if _listeners:
        _listeners[-1](what)
