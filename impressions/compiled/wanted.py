"""The titles that are asked for, as a table in which each row looks for its own.

A few hundred titles are looked up for some 2,000 rows in a dozen runs. Walking both sorted lists
side by side takes as many steps as there are rows and titles in every run, each a branch that no
processor can foresee; a look into a table that fits the nearest cache takes one. Where most rows
are of other titles, a first pass without any branch (`near`) leaves few of them for that look.
"""

from __future__ import annotations

import numpy as np

from impressions.compiled.table import compiled

_NONE = np.int64(-1)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: Knuth's multiplicative hashing, where a product's top bits count."""


@compiled
def wanted_of(titles):  # type: ignore[no-untyped-def]
    """A table of 2^n places, at most a quarter full: the titles, none of them negative, else -1;
    and 64 - n."""
    table, shift = _empty_for(len(titles))
    for i in range(len(titles)):
        table[_place_of(titles[i], table, shift)] = titles[i]
    return table, shift


@compiled
def numbered(titles):  # type: ignore[no-untyped-def]
    """The same table, and beside it the position of each title in `titles`."""
    table, shift = _empty_for(len(titles))
    numbers = np.empty(len(table), np.uint32)
    for i in range(len(titles)):
        place = _place_of(titles[i], table, shift)
        table[place], numbers[place] = titles[i], i
    return table, numbers, shift


@compiled
def number_of(title, table, numbers, shift):  # type: ignore[no-untyped-def]
    """The position of the title, which is not negative, among those in the table; -1 for none."""
    place = _place_of(title, table, shift)
    return np.int64(numbers[place]) if table[place] == title else np.int64(-1)


@compiled
def near_of(titles):  # type: ignore[no-untyped-def]
    """Flags, of which those are set where titles may be, one in sixteen at most; and how `is_near`
    finds them."""
    bits = 6
    while 1 << bits < 16 * len(titles):
        bits += 1
    near, shift = np.zeros(1 << bits, np.uint8), np.uint64(64 - bits)
    for i in range(len(titles)):
        near[(np.uint64(titles[i]) * _SPREAD) >> shift] = 1
    return near, shift


@compiled
def is_near(title, near, shift):  # type: ignore[no-untyped-def]
    """1 for each title that is wanted, and for a few others; else 0."""
    return near[(np.uint64(title) * _SPREAD) >> shift]


@compiled
def is_wanted(title, table, shift):  # type: ignore[no-untyped-def]
    """Whether the title is in the table."""
    return title >= 0 and table[_place_of(title, table, shift)] == title


@compiled
def _empty_for(titles):  # type: ignore[no-untyped-def]
    bits = 6
    while 1 << bits < 4 * titles:
        bits += 1
    return np.full(1 << bits, _NONE), np.uint64(64 - bits)


@compiled
def _place_of(title, table, shift):  # type: ignore[no-untyped-def]
    """Where the title is, or where it would be put."""
    place = (np.uint64(title) * _SPREAD) >> shift
    while table[place] != title and table[place] != _NONE:
        place = (place + np.uint64(1)) & np.uint64(len(table) - 1)
    return place
