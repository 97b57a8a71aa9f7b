"""The largest rows of an answer, as a caller asks for them.

Apart from what chooses those rows (answer.py), because the client needs these words and none of the
arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Top:
    """Only the `k` rows with the largest decayed sum of one measure and half-life."""

    k: int
    measure: str
    half_life_days: int
