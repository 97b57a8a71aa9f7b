"""What differs between two answers about one profile.

Counts and times must be equal. Sums and fractional totals may differ by what the formats round:
each side is a sum of parts that are not negative, each part stored with a relative error of at most
`STORED_ERROR` (impressions/formats/profile_block.py), so each sum is as near to the true one, and
two of them are within twice that. The other half of `TOLERANCE` is for sums that other engines
added in another order.

A row that one side lacks counts as zeros there. One fault changes a count and all fifteen sums of
it, so of each measure only what says most is listed: the total if it differs, else the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.item import location_of, title_of
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats.profile_block import STORED_ERROR

TOLERANCE = 4 * STORED_ERROR
"""Relative, of sums and of fractional totals."""
LAST_SEEN = "last_seen_ms"


@dataclass(frozen=True)
class Difference:
    """One number that differs.

    Attributes:
        measure: its name, or `last_seen_ms`.
        half_life_days: None of an undecayed total.
        old, new: what the generation that answers says, and what the other one says.
    """

    profile_id: int
    title_id: int
    location: int
    measure: str
    half_life_days: int | None
    old: float
    new: float

    def __str__(self) -> str:
        decayed = "" if self.half_life_days is None else f", half-life {self.half_life_days} d"
        return (
            f"profile {self.profile_id}, title {self.title_id}, location {self.location}, "
            f"{self.measure}{decayed}: {self.old:.15g} in the old one, {self.new:.15g} in the new"
        )


def differences(profile_id: int, old: Rows, new: Rows, spec: Spec) -> list[Difference]:
    """What differs, ascending by (title, location), measures in the order of the spec.

    Args:
        old, new: merged rows at the same query time, items ascending and unique.
    """
    items: Int = np.union1d(old.items, new.items)
    one, other = _aligned(old, items), _aligned(new, items)
    fractional = np.array([not measure.integral for measure in spec.measures])
    totals = one.totals != other.totals
    totals[fractional] = ~_close(one.totals[fractional], other.totals[fractional])
    sums = ~_close(one.sums, other.sums) & ~totals[:, None, :]
    seen = one.last_seen_ms != other.last_seen_ms
    differing = np.flatnonzero(totals.any(0) | sums.any((0, 1)) | seen)
    return [
        found
        for i in differing.tolist()
        for found in _of_row(profile_id, one, other, i, totals[:, i], sums[..., i], spec)
    ]


def _aligned(rows: Rows, items: Int) -> Rows:
    """The same rows at the places of `items`, zeros between them."""
    place = np.searchsorted(items, rows.items)
    last_seen_ms = np.zeros(len(items), np.int64)
    totals = np.zeros((*rows.totals.shape[:-1], len(items)))
    sums = np.zeros((*rows.sums.shape[:-1], len(items)))
    last_seen_ms[place] = rows.last_seen_ms
    totals[..., place] = rows.totals
    sums[..., place] = rows.sums
    return Rows(items, last_seen_ms, totals, sums)


def _close(one: Float, other: Float) -> NDArray[np.bool_]:
    close: NDArray[np.bool_] = np.abs(one - other) <= TOLERANCE * np.maximum(one, other)
    return close


def _of_row(
    profile_id: int,
    one: Rows,
    other: Rows,
    i: int,
    totals: NDArray[np.bool_],
    sums: NDArray[np.bool_],
    spec: Spec,
) -> Iterator[Difference]:
    title, location = int(title_of(one.items[i])), int(location_of(one.items[i]))

    def found(measure: str, half_life: int | None, old: float, new: float) -> Difference:
        return Difference(profile_id, title, location, measure, half_life, float(old), float(new))

    for m, measure in enumerate(spec.measure_names):
        if totals[m]:
            yield found(measure, None, one.totals[m, i], other.totals[m, i])
        for h in np.flatnonzero(sums[m]).tolist():
            half_life = spec.half_lives_days[h]
            yield found(measure, half_life, one.sums[m, h, i], other.sums[m, h, i])
    if not totals.any() and not sums.any():
        yield found(LAST_SEEN, None, one.last_seen_ms[i], other.last_seen_ms[i])
