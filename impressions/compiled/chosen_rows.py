"""Which rows of a profile's parts are asked for, and which row of the answer each belongs to.

In: a `Stored` that was described, titles and locations. Out: the names of the answer's rows, items
or titles, ascending; and a `Chosen`. Items are walked here, so here their order is checked. The two
walks are written out: numba keeps no code in its cache that is given a function.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from impressions.compiled.runs import order_of, slots_of
from impressions.compiled.stored_parts import KIND, ROWS, SINGLE, part_of
from impressions.compiled.table import BAD, compiled, integers
from impressions.compiled.wanted import (
    is_near,
    is_wanted,
    near_of,
    number_of,
    numbered,
    wanted_of,
)
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import ITEM_LOCATION_BITS

_BITS, _LOCATION = np.int64(ITEM_LOCATION_BITS), np.int64(MAX_LOCATION)
_DROPPED = np.uint32(2**32 - 1)


class Chosen(NamedTuple):
    """Rows of all parts, part by part.

    Attributes:
        bounds: (parts + 1,) int64 where each part's begin; bounds[0] is BAD if items of a part are
            not in order.
        rows: (n,) uint32 within the part.
        slots: (n,) uint32 which row of the answer.
    """

    bounds: Any
    rows: Any
    slots: Any


@compiled
def choose(stored, first_tail_row, titles, any_title, locations, any_location, by_title):  # type: ignore[no-untyped-def]
    """(g,) names of the rows of the answer, and the chosen rows."""
    if not any_title and by_title:
        return _of_titles(stored, first_tail_row, titles, locations, any_location)
    return _of_keys(stored, first_tail_row, titles, any_title, locations, any_location, by_title)


@compiled
def keep(order, groups, chosen):  # type: ignore[no-untyped-def]
    """Only the rows that belong to these rows of the answer, which are numbered as in `order`."""
    place = np.full(groups, _DROPPED, np.uint32)
    for i in range(len(order)):
        place[order[i]] = i
    bounds, rows, slots = chosen.bounds, chosen.rows, chosen.slots
    at, begin = 0, 0
    for p in range(len(bounds) - 1):
        for i in range(begin, bounds[p + 1]):
            if place[slots[i]] != _DROPPED:
                rows[at], slots[at] = rows[i], place[slots[i]]
                at += 1
        begin = bounds[p + 1]
        bounds[p + 1] = at
    return Chosen(bounds, rows[:at], slots[:at])


# ---- the items of a part


@compiled
def items_of(stored, p):  # type: ignore[no-untyped-def]
    """(n,) items of part p, and whether they are in order."""
    n = stored.about[p, ROWS]
    if not n:
        return np.empty(0, np.int64), True
    items = integers(part_of(stored, p), stored.where[p, 0, 0], n, stored.where[p, 0, 1])
    return items, _ascend(items, _step(stored, p))


@compiled
def _step(stored, p):  # type: ignore[no-untyped-def]
    """By how much the items of a part ascend at least; -1: the tail, whose items may go down."""
    if p == 1:
        return np.int64(-1)
    return np.int64(0 if stored.about[p, KIND] == SINGLE else 1)


@compiled
def _ascend(items, step):  # type: ignore[no-untyped-def]
    """Whether they are in order, by a step of 0 or 1 at least; with -1 they always are. None is
    looked at alone, so many are at the same time."""
    if step < 0 or not len(items):
        return True
    wrong, equal = np.int64(items[0] < 0), 1 - step
    for i in range(1, len(items)):
        wrong += items[i] <= items[i - 1] - equal
    return wrong == 0


# ---- of some titles, by title


@compiled
def _of_titles(stored, first_tail_row, titles, locations, any_location):  # type: ignore[no-untyped-def]
    """Each row's title is looked up, and its number is the slot."""
    total = stored.about[:, ROWS].sum()
    rows, slots = np.empty(total, np.uint32), np.empty(total, np.uint32)
    table, numbers, shift = numbered(titles)
    near, near_shift = near_of(titles)
    bounds, at = np.zeros(len(stored.about) + 1, np.int64), 0
    for p in range(len(stored.about)):
        items, in_order = items_of(stored, p)
        if not in_order:
            bounds[0] = BAD
            return np.empty(0, np.int64), Chosen(bounds, rows, slots)
        at = _numbered_in(
            items, first_tail_row if p == 1 else 0, near, near_shift, table, numbers, shift,
            any_location, locations, rows, slots, at,
        )  # fmt: skip
        bounds[p + 1] = at
    chosen = Chosen(bounds, rows[:at], slots[:at])
    return _present_only(titles, chosen.slots), chosen


@compiled
def _numbered_in(  # type: ignore[no-untyped-def]
    items, first, near, near_shift, table, numbers, shift,
    any_location, locations, chosen, slots, at,
):  # fmt: skip
    """Append each row of a wanted title, and the number of its title; where they end."""
    end = at
    for i in range(first, len(items)):  # without a branch: the next row takes the place of a wrong
        chosen[end] = i
        end += is_near(items[i] >> _BITS, near, near_shift)
    for j in range(at, end):
        row = chosen[j]
        item = items[row]
        if item < 0:
            continue
        number = number_of(item >> _BITS, table, numbers, shift)
        if number >= 0 and (any_location or locations[item & _LOCATION]):
            chosen[at], slots[at] = row, number
            at += 1
    return at


@compiled
def _present_only(titles, slots):  # type: ignore[no-untyped-def]
    """The titles that some row has; slots become positions among those."""
    place, found = np.zeros(len(titles), np.uint32), 0
    for i in range(len(slots)):
        place[slots[i]] = 1
    names = np.empty(len(titles), np.int64)
    for t in range(len(titles)):
        if place[t]:
            names[found], place[t] = titles[t], found
            found += 1
    if found < len(titles):
        for i in range(len(slots)):
            slots[i] = place[slots[i]]
    return names[:found]


# ---- of every title, or by item


@compiled
def _of_keys(stored, first_tail_row, titles, any_title, locations, any_location, by_title):  # type: ignore[no-untyped-def]
    """Keys of the chosen rows are put in order; equal ones share a slot."""
    total = stored.about[:, ROWS].sum()
    keys, rows = np.empty(total, np.int64), np.empty(total, np.uint32)
    table, shift = wanted_of(titles)
    bounds, at = np.zeros(len(stored.about) + 1, np.int64), 0
    for p in range(len(stored.about)):
        items, in_order = items_of(stored, p)
        if not in_order:
            bounds[0] = BAD
            return keys, Chosen(bounds, rows, rows)
        at = _take(
            items, first_tail_row if p == 1 else 0, table, shift, any_title,
            locations, any_location, by_title, keys, rows, at,
        )  # fmt: skip
        bounds[p + 1] = at
    small = keys[bounds[1] : at]
    names, of_body, of_small = slots_of(keys[: bounds[1]], small, order_of(small))
    slots = np.empty(at, np.uint32)
    slots[: bounds[1]], slots[bounds[1] :] = of_body, of_small
    return names, Chosen(bounds, rows[:at], slots)


@compiled
def _take(  # type: ignore[no-untyped-def]
    items, first, table, shift, any_title, locations, any_location, by_title, keys, rows, at
):  # fmt: skip
    """Put key and row of each chosen item behind `at`; returns where they end."""
    for i in range(first, len(items)):
        title = items[i] >> _BITS
        if not any_title and not is_wanted(title, table, shift):
            continue
        if not any_location and not locations[items[i] & _LOCATION]:
            continue
        keys[at] = title if by_title else items[i]
        rows[at] = i
        at += 1
    return at
