"""From numbers to places in a drawing, and the round numbers beside an axis. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """A line from [low, high] to places [start, end]; `start` may be the larger one."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value. Equal bounds: the middle."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from <= low to >= high."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def segments(values: Sequence[float]) -> list[list[int]]:
    """Runs of indices with a number; NaN divides them, so a gap stays a gap in a drawing."""
    runs: list[list[int]] = []
    for i, value in enumerate(values):
        if math.isnan(value):
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def share(value: float, largest: float) -> float:
    """Length of a bar in percent, 0..100; what is there at all is at least 0.5 long."""
    if largest <= 0 or value <= 0 or math.isnan(value):
        return 0.0
    return min(100.0, max(0.5, 100.0 * value / largest))


def decayed(sum_now: float, half_life_days: float, days: Sequence[float]) -> list[float]:
    """What is left of a decayed sum after so many days without anything new."""
    return [sum_now * 2.0 ** (-day / half_life_days) for day in days]


def points(places: Sequence[Point]) -> str:
    """As an SVG attribute, with tenths."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
