"""Impressions lifted to rows: what each adds to its item, relative to the start of its slot.

The stream's twin of the Spark expressions in batch/aggregate.py: both take the measures and the
half-lives from the spec and the decay from impressions/decay.py, and both are compared with the
oracle. Sums stay float64 and relative to the slot, because blocks are added to many times.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from impressions.columns import Rows, grouped
from impressions.decay import Int, weights
from impressions.errors import SettingsError
from impressions.item import pack
from impressions.kafka.records import Batch
from impressions.spec import Spec


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
    order = np.lexsort((items, group))
    by_group, by_item = group[order], items[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (by_group[1:] != by_group[:-1]) | (by_item[1:] != by_item[:-1])
    starts = np.flatnonzero(first)
    return Lifted(grouped(rows, order, starts), by_group[starts])


class Lifted:
    """Rows ordered by (group, item); `of(group)` are the rows of one group, items ascending."""

    def __init__(self, rows: Rows, group: Int):
        self._rows, self._group = rows, group

    def of(self, group: int) -> Rows:
        start, end = np.searchsorted(self._group, (group, group + 1))
        return self._rows.take(slice(int(start), int(end)))
