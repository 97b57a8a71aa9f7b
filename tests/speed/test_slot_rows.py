"""Rows of many (profile, slot)s in one order, whatever their ids."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.rows import Rows
from impressions.core.spec import Spec
from speed.applying.slot_rows import GroupedRows

SPEC = Spec()
SMALL, LARGE = st.integers(0, 3), st.sampled_from([0, 7, 2**62, 2**63 - 1])


def rows_in(pairs):
    """Each (group, item) once seen, with its place as the time."""
    group, items = np.array(pairs, np.int64).reshape(-1, 2).T
    seen = np.ones((len(SPEC.measures), len(pairs)))
    sums = np.ones((len(SPEC.measures), len(SPEC.half_lives_days), len(pairs)))
    return GroupedRows.of(Rows(items, np.arange(len(pairs)), seen, sums), group)


@given(st.lists(st.tuples(SMALL, SMALL | LARGE), max_size=30))
def test_an_item_is_once_in_each_group_and_items_ascend(pairs):
    """Also where item and group together are more than 63 bits."""
    rows = rows_in(pairs)
    for group in {group for group, _ in pairs}:
        of_group = [(item, place) for place, (g, item) in enumerate(pairs) if g == group]
        found = rows.of_group(group)
        assert found.items.tolist() == sorted({item for item, _ in of_group})
        assert found.last_seen_ms.tolist() == [
            max(place for at, place in of_group if at == item) for item in found.items
        ]
        assert found.totals[0].sum() == len(of_group)


@given(st.lists(st.tuples(SMALL, SMALL | LARGE), min_size=1, max_size=30), SMALL)
def test_rows_that_are_held_are_added(pairs, held_group):
    held = rows_in([(0, item) for _, item in pairs]).of_group(0)
    added = rows_in([*pairs, (held_group, 2)]).onto({held_group: held})
    expected = rows_in([*[(held_group, item) for _, item in pairs], *pairs, (held_group, 2)])
    for group in {group for group, _ in pairs} | {held_group}:
        assert added.of_group(group).items.tolist() == expected.of_group(group).items.tolist()
        assert added.of_group(group).sums.tolist() == expected.of_group(group).sums.tolist()
