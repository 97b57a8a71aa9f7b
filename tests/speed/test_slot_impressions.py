"""Impressions of many blocks in one order, whatever their ids."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.impressions import Impressions
from impressions.core.spec import Spec
from speed.applying.slot_impressions import of_groups

SPEC = Spec()
SMALL, LARGE = st.integers(0, 3), st.sampled_from([7, 2**54, 2**55 - 1])


def merged(pairs, held):
    """(group, title) seen one after the other, each with its place as the time."""
    group, titles = np.array(pairs, np.int64).reshape(-1, 2).T
    n = len(pairs)
    batch: Any = SimpleNamespace(
        played=np.zeros(n, bool), dwell_s=np.arange(n) / 4, counted_ms=np.arange(n),
        title_id=titles, location=np.zeros(n, np.int64),
    )  # fmt: skip
    return of_groups(batch, np.arange(n), group, held, SPEC)


@given(st.lists(st.tuples(SMALL, SMALL | LARGE), min_size=1, max_size=30), SMALL)
def test_items_ascend_and_those_of_an_item_stay_as_they_came(pairs, held_group):
    """What a block holds comes first; also where item and group together are more than 63 bits."""
    held = Impressions(np.array([256, 256]), np.array([-2, -1]), np.zeros((2, 2)))
    found = merged(pairs, {held_group: held})
    for group in {group for group, _ in pairs} | {held_group}:
        expected = [(256, -2), (256, -1)] * (group == held_group)
        expected += [(title << 8, place) for place, (g, title) in enumerate(pairs) if g == group]
        of_group = found[group]
        pairs_found = zip(of_group.items.tolist(), of_group.event_ms.tolist(), strict=True)
        assert list(pairs_found) == sorted(expected, key=lambda pair: pair[0])
        new = of_group.event_ms >= 0
        assert of_group.added[1, new].tolist() == (of_group.event_ms[new] / 4).tolist()


def test_what_is_taken_keeps_no_other_array():
    """A kept block must not keep all the flush in memory."""
    (first, second) = merged([(0, 1), (1, 2)], {})
    assert first.items.base is None
    assert second.added.base is None
