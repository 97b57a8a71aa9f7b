"""Impressions of one profile as columns: what the stream keeps, before anything is added up.

The stream and its blocks use them. `rows` lifts them to what aggregates are made of, a row for
each: the only place of the stream lane where an impression becomes numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impressions.core.contribution import contributions
from impressions.core.decay import Float, Int, weights
from impressions.core.rows import Index, Rows
from impressions.core.spec import Spec


@dataclass(frozen=True)
class Impressions:
    """n impressions.

    Attributes:
        items: (n,) int64 item keys.
        event_ms: (n,) int64 epoch milliseconds.
        added: (A, n) float64 the columns of `spec.added_columns`, in that order.
    """

    items: Int
    event_ms: Int
    added: Float

    def __len__(self) -> int:
        return len(self.items)

    def take(self, index: Index) -> Impressions:
        """The chosen ones, in arrays of their own."""
        return Impressions(
            self.items[index].copy(), self.event_ms[index].copy(), self.added[:, index].copy()
        )

    def rows(self, reference_ms: int, spec: Spec) -> Rows:
        """A row for each, its sums relative to `reference_ms`."""
        columns = dict(zip(spec.added_columns, self.added, strict=True))
        x = contributions(columns, len(self), spec)
        decayed = weights(reference_ms - self.event_ms, spec)
        return Rows(self.items, self.event_ms, x, x[:, None, :] * decayed[None, :, :])


def joined(parts: Sequence[Impressions]) -> Impressions:
    """The impressions of all parts, one after the other."""
    return Impressions(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.event_ms for part in parts]),
        np.concatenate([part.added for part in parts], axis=-1),
    )


def no_impressions(spec: Spec) -> Impressions:
    """None of them."""
    none = np.empty(0, np.int64)
    return Impressions(none, none, np.empty((len(spec.added_columns), 0)))
