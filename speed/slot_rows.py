"""Impressions lifted to rows: what each adds to its item, relative to the start of its slot.

The stream's twin of the Spark expressions in batch/rules/aggregate.py: both take the measures and
the half-lives from the spec and the decay from impressions/core/decay.py, and both are compared
with the oracle. Sums stay float64 and relative to the slot, because blocks are added to many times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int, weights
from impressions.core.errors import SettingsError
from impressions.core.item import pack
from impressions.core.rows import Rows, grouped, joined
from impressions.core.sort_key import order_by
from impressions.core.spec import Spec
from impressions.kafka.decoded_batch import Batch


def measured(batch: Batch, chosen: NDArray[np.intp], spec: Spec) -> NDArray[np.float64]:
    """(M, n) what each chosen impression contributes to each measure.

    Raises:
        SettingsError: the spec declares a measure that the wire does not carry.
    """
    columns: dict[str, Callable[[], NDArray[np.float64]]] = {
        "impressions": lambda: np.ones(len(chosen)),
        "plays": lambda: batch.played[chosen].astype(np.float64),
        "dwell_s": lambda: batch.dwell_s[chosen],
    }
    if unknown := [name for name in spec.measure_names if name not in columns]:
        raise SettingsError(f"measures {unknown}: impressions on the wire carry {list(columns)}")
    return np.stack([columns[name]() for name in spec.measure_names])


def lift(batch: Batch, chosen: NDArray[np.intp], group: Int, slot_ms: Int, spec: Spec) -> Lifted:
    """Rows of the chosen impressions, one for each (group, item).

    Args:
        chosen: (n,) positions in the batch.
        group: (n,) a number for each (profile, slot).
        slot_ms: (n,) start of the slot: the reference of the sums.
    """
    x = measured(batch, chosen, spec)
    event_ms = batch.counted_ms[chosen]
    decayed = weights(slot_ms - event_ms, spec)
    items = pack(batch.title_id[chosen], batch.location[chosen])
    rows = Rows(items, event_ms, x, x[:, None, :] * decayed[None, :, :])
    return Lifted.of_rows(rows, group)


class Lifted:
    """Rows ordered by (group, item), an item once in each group."""

    def __init__(self, rows: Rows, group: Int):
        self._rows, self._group = rows, group
        last = int(group[-1]) if len(group) else -1
        self._starts: list[int] = np.searchsorted(group, np.arange(last + 2)).tolist()

    @classmethod
    def of_rows(cls, rows: Rows, group: Int) -> Lifted:
        """The same of rows in any order; those of one item of one group are added."""
        order = order_by(group, rows.items)
        by_group, by_item = group[order], rows.items[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (by_group[1:] != by_group[:-1]) | (by_item[1:] != by_item[:-1])
        starts = np.flatnonzero(first)
        return cls(grouped(rows, order, starts), by_group[starts])

    def onto(self, held: Mapping[int, Rows]) -> Lifted:
        """These rows and those that are held of each group, added: all groups in one pass."""
        parts = [rows for rows in held.values() if len(rows)]
        if not parts:
            return self
        groups = np.repeat(np.fromiter(held, np.int64), [len(rows) for rows in held.values()])
        return Lifted.of_rows(joined([*parts, self._rows]), np.concatenate([groups, self._group]))

    def of(self, group: int) -> Rows:
        """The rows of one group, items ascending; copies, so that to keep one keeps no other."""
        chosen = slice(self._starts[group], self._starts[group + 1])
        rows = self._rows
        return Rows(
            rows.items[chosen].copy(),
            rows.last_seen_ms[chosen].copy(),
            rows.totals[:, chosen].copy(),
            rows.sums[:, :, chosen].copy(),
        )
