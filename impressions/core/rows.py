"""Rows: the columnar table in which aggregates are added, whatever they were read from.

One row for each item, or for each item and day of the tail; float64 throughout. Blocks are these
rows in bytes (impressions/formats/columns.py), an answer is these rows at a query time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.spec import Spec

Scalar = TypeVar("Scalar", bound=np.generic)

Index = NDArray[np.intp] | slice
"""Which rows: positions, or a slice where they are contiguous."""

ALL = slice(None)


@dataclass(frozen=True)
class Rows:
    """Aggregates of n items at one reference time.

    Attributes:
        items: (n,) int64 item keys.
        last_seen_ms: (n,) int64 epoch milliseconds of the newest event.
        totals: (M, n) float64 undecayed totals; whole numbers for integral measures.
        sums: (M, H, n) float64 decayed sums relative to the reference time.
    """

    items: Int
    last_seen_ms: Int
    totals: Float
    sums: Float

    def __len__(self) -> int:
        return len(self.items)

    @property
    def flat_sums(self) -> Float:
        """(M * H, n) decayed sums, measure by measure."""
        return self.sums.reshape(self.sums.shape[0] * self.sums.shape[1], len(self))

    def take(self, index: Index) -> Rows:
        return Rows(
            self.items[index],
            self.last_seen_ms[index],
            pick(self.totals, index),
            pick(self.sums, index),
        )


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.last_seen_ms for part in parts]),
        np.concatenate([part.totals for part in parts], axis=-1),
        np.concatenate([part.sums for part in parts], axis=-1),
    )


def grouped(rows: Rows, order: NDArray[np.intp], starts: Int) -> Rows:
    """One row for each group of `order`, positions that begin a new group at each of `starts`.

    Items are those of a group's first row, last seen the newest, totals and sums are added. numpy's
    `reduceat` pays for every group, 27 k of them for a profile of 1,500 items, though nearly all
    are of one row: first rows are taken, and only groups of several rows are added.
    """
    first, counts = order[starts], np.diff(starts, append=len(order))
    several = np.flatnonzero(counts > 1)
    out = rows.take(first)
    if len(several):
        of_several = rows.take(order[np.repeat(counts > 1, counts)])
        begins = np.cumsum(counts[several]) - counts[several]
        out.last_seen_ms[several] = np.maximum.reduceat(of_several.last_seen_ms, begins)
        out.totals[:, several] = np.add.reduceat(of_several.totals, begins, axis=-1)
        out.sums[..., several] = np.add.reduceat(of_several.sums, begins, axis=-1)
    return out


def empty_rows(spec: Spec) -> Rows:
    """No rows: the zero of `merge`."""
    measures, half_lives = len(spec.measures), len(spec.half_lives_days)
    none = np.empty(0, np.int64)
    return Rows(none, none, np.empty((measures, 0)), np.empty((measures, half_lives, 0)))


def pick(values: NDArray[Scalar], index: Index) -> NDArray[Scalar]:
    """`values[..., index]`; numpy's `take` is three times as fast as the same by brackets."""
    return values[..., index] if isinstance(index, slice) else values.take(index, axis=-1)
