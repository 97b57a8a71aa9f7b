"""A clock for tests: code under test is given the time, and the time moves only when asked to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FixedClock:
    """A clock that stands still until it is moved."""

    at_ms: int

    def __call__(self) -> int:
        return self.at_ms

    def advance(self, by_ms: int) -> None:
        self.at_ms += by_ms
