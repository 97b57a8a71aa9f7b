"""Impressions as rows: what each adds to its item, relative to the start of its slot.

The stream's twin of the Spark expressions in batch/rules/aggregate.py: both take the measures, what
an impression adds to them and the half-lives from the spec, and both are compared with the oracle.
Sums stay float64 and relative to the slot, because blocks are added to many times.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from impressions.core.contribution import contributions
from impressions.core.decay import Int, weights
from impressions.core.item import pack
from impressions.core.rows import Rows, grouped, joined
from impressions.core.sort_key import order_by
from impressions.core.spec import Spec
from impressions.kafka.decoded_batch import DecodedBatch


def rows_of(
    batch: DecodedBatch, chosen: NDArray[np.intp], group: Int, slot_ms: Int, spec: Spec
) -> GroupedRows:
    """Rows of the chosen impressions, one for each (group, item).

    Args:
        chosen: (n,) positions in the batch.
        group: (n,) a number for each (profile, slot).
        slot_ms: (n,) start of the slot: the reference of the sums.
    """
    added = {name: getattr(batch, name)[chosen] for name in spec.added_columns}
    x = contributions(added, len(chosen), spec)
    event_ms = batch.counted_ms[chosen]
    decayed = weights(slot_ms - event_ms, spec)
    items = pack(batch.title_id[chosen], batch.location[chosen])
    rows = Rows(items, event_ms, x, x[:, None, :] * decayed[None, :, :])
    return GroupedRows.of(rows, group)


class GroupedRows:
    """Rows ordered by (group, item), an item once in each group."""

    def __init__(self, rows: Rows, group: Int):
        self._rows, self._group = rows, group
        last = int(group[-1]) if len(group) else -1
        self._starts: list[int] = np.searchsorted(group, np.arange(last + 2)).tolist()

    @classmethod
    def of(cls, rows: Rows, group: Int) -> GroupedRows:
        """From rows in any order; those of one item of one group are added."""
        order = order_by(group, rows.items)
        by_group, by_item = group[order], rows.items[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (by_group[1:] != by_group[:-1]) | (by_item[1:] != by_item[:-1])
        starts = np.flatnonzero(first)
        return cls(grouped(rows, order, starts), by_group[starts])

    def onto(self, held: Mapping[int, Rows]) -> GroupedRows:
        """These rows and those that each group has already, added: all groups in one pass."""
        parts = [rows for rows in held.values() if len(rows)]
        if not parts:
            return self
        groups = np.repeat(np.fromiter(held, np.int64), [len(rows) for rows in held.values()])
        return GroupedRows.of(joined([*parts, self._rows]), np.concatenate([groups, self._group]))

    def of_group(self, group: int) -> Rows:
        """The rows of one group, items ascending; copies, so that to keep one keeps no other."""
        chosen = slice(self._starts[group], self._starts[group + 1])
        rows = self._rows
        return Rows(
            rows.items[chosen].copy(),
            rows.last_seen_ms[chosen].copy(),
            rows.totals[:, chosen].copy(),
            rows.sums[:, :, chosen].copy(),
        )
