"""A generation's rows become those of a later cutover, by what changed in between: compiled.

In: rows of the generation before, of whole profiles; their impressions that enter the tail, which
are in its body; and the new ones. Out: `Sums`, as from scratch. The definition is the numpy form
(batch/compacting/incremental/plain_shift.py), and tests hold both equal.

Nothing is guessed: where the result would not be that from scratch, `Unfit` says why.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from impressions.compiled.loading import loaded
from impressions.compiled.sums import Impressions, Sums, added_columns, weighing
from impressions.core import window
from impressions.core.decay import Float, Int
from impressions.core.errors import CorruptData
from impressions.core.spec import DAY_MS, Adds, Spec

UNITS = 1_000_000
"""A total that is no whole number is changed in units: seconds in microseconds."""

LEAST_LEFT = 1e-5
"""Of a decayed sum, when something is taken out of it. Weights are right to some 1e-14, so less
would be wrong by more than 1e-9 after a quarter of a year."""

FINER, LOST, BROKEN = -2, -3, -4
"""As shift_kernels.py returns them; -1 is a location that is none."""

WORDS: Mapping[int, str] = {
    FINER: "dwell finer than whole microseconds",
    LOST: "sums of which too little is left when old days are taken out",
    BROKEN: "the generation before lacks impressions that raw has",
}


class Unfit(Exception):
    """The rows cannot be had from the generation before; `why`: one of FINER, LOST, BROKEN."""

    def __init__(self, why: int):
        super().__init__(WORDS[why])
        self.why = why


@dataclass(frozen=True)
class Old:
    """n rows of the generation before, by (profile, item, day).

    Attributes:
        days: (n,) the tail day, or -1.
        totals: (M, n).   sums: (M * H, n) at the cutover before.
    """

    profiles: Int
    items: Int
    days: Int
    last_seen_ms: Int
    totals: Float
    sums: Float


@functools.cache
def kernel() -> Any | None:
    """The compiled function; compiles if this machine never did. None where it cannot be had."""
    found = loaded("shifts", {"shift_kernels": "shifted"})
    return found[0].shifted if found else None


def shifted_by(
    compiled: Any, old: Old, of: Impressions, entering: int, from_ms: int, to_ms: int, spec: Spec
) -> Sums:
    """The rows of whole profiles at `to_ms`.

    Args:
        of: impressions; the first `entering` of them enter the tail, the others are new.
        from_ms: the cutover of `old`.

    Raises:
        CorruptData: a location that is none.   Unfit: see the class.
    """
    room, tail = len(old.profiles) + len(of.profiles) + entering, window.tail_days(to_ms, spec)
    keys = np.empty((4, room), np.int64)
    numbers = np.empty((len(spec.measures) * (1 + len(spec.half_lives_days)), room))
    filled = compiled(
        old.profiles, old.items, old.days, old.last_seen_ms,
        np.ascontiguousarray(old.totals), np.ascontiguousarray(old.sums),
        shrink(from_ms, to_ms, spec),
        of.profiles, of.titles, of.locations, of.event_us, of.left_out, of.values, entering,
        added_columns(spec), units(spec), counter(spec), LEAST_LEFT,
        to_ms, tail.start, tail.stop, *weighing(spec), keys, numbers,
    )  # fmt: skip
    if filled in WORDS:
        raise Unfit(filled)
    if filled < 0:
        raise CorruptData("raw: a location is outside of 0..255")
    profiles, items, days, last_seen_ms = keys[:, :filled]
    return Sums(profiles, items, days, last_seen_ms, numbers[:, :filled])


def shrink(from_ms: int, to_ms: int, spec: Spec) -> Float:
    """(H,) what a decayed sum is multiplied by when it is seen from a later cutover."""
    return np.exp2((from_ms - to_ms) / DAY_MS / np.array(spec.half_lives_days, np.float64))


def units(spec: Spec) -> Float:
    """(M,) how many units a total is counted in."""
    return np.array([1 if m.integral else UNITS for m in spec.measures], np.float64)


def counter(spec: Spec) -> int:
    """Which measure counts impressions: where it is 0, there is no row."""
    return [m.adds for m in spec.measures].index(Adds.ONE)
