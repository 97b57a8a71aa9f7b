"""The impressions of a batch beside those that each block holds already, in the order of blocks.

Nothing is added up: an impression stays what it is until a profile is read, so a block holds the
same bytes however records were cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.impressions import Impressions, joined
from impressions.core.item import pack
from impressions.core.sort_key import order_by
from impressions.core.spec import Spec
from impressions.kafka.decoded_batch import DecodedBatch


def of_groups(
    batch: DecodedBatch,
    chosen: NDArray[np.intp],
    group: Int,
    held: Mapping[int, Impressions],
    spec: Spec,
) -> list[Impressions]:
    """Of each group what it holds and the chosen impressions, items ascending, those of an item in
    the order they came.

    Args:
        chosen: (n,) positions in the batch, in its order.
        group: (n,) a number from 0 for each block.
        held: what a block had before, by the number of its group.
    """
    added: Float = np.array([getattr(batch, name)[chosen] for name in spec.added_columns], float)
    items = pack(batch.title_id[chosen], batch.location[chosen])
    new = Impressions(items, batch.counted_ms[chosen], added)
    groups = [np.full(len(part), number) for number, part in held.items()]
    every, group = joined([*held.values(), new]), np.concatenate([*groups, group])
    order = order_by(group, every.items)
    bounds = np.searchsorted(group[order], np.arange(int(group.max(initial=-1)) + 2)).tolist()
    return [every.take(order[a:b]) for a, b in pairwise(bounds)]
