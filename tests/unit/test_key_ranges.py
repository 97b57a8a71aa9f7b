"""Shards cut into ranges: every key is in exactly one, in order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch.lake.data_file_rows import ALL_PROFILES, Keys
from batch.lake.key_ranges import cut


def sampled(rows_of_shards: dict[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """A row of each profile; shard s has the profiles 1000 s, 1000 s + 1, ..."""
    return [
        (np.full(rows, shard), 1_000 * shard + np.arange(rows))
        for shard, rows in rows_of_shards.items()
    ]


def test_what_fits_is_one_range() -> None:
    assert cut((2, 6), 10, 10, []) == [Keys((2, 6))]


def test_small_shards_share_a_range_and_a_large_one_is_cut_into_profiles() -> None:
    """Of 3, 4, 20 and 5 rows, at most ten together."""
    rows = {0: 3, 1: 4, 2: 20, 3: 5}
    assert cut((0, 5), 32, 10, sampled(rows)) == [
        Keys((0, 2)), Keys((2, 3), (0, 2_010)), Keys((2, 3), (2_010, 1 << 63)), Keys((3, 5)),
    ]  # fmt: skip


@given(st.dictionaries(st.integers(3, 20), st.integers(1, 60), max_size=9), st.integers(1, 40))
def test_every_key_is_in_one_range(rows_of_shards: dict[int, int], most: int) -> None:
    """Shards without a sampled row too; ranges follow each other."""
    rows = sum(rows_of_shards.values())
    ranges = cut((2, 22), rows, most, sampled(rows_of_shards))
    starts = [(keys.shards[0], keys.profiles[0]) for keys in ranges]
    assert starts == sorted(starts)
    assert ranges[0].shards[0] == 2
    assert ranges[-1].shards[1] == 22
    for one, other in pairwise(ranges):
        if one.shards == other.shards:
            assert one.profiles[1] == other.profiles[0]
        else:
            assert one.shards[1] == other.shards[0]
            assert (one.profiles[1], other.profiles[0]) == (1 << 63, 0)
    for keys in ranges:
        if keys.profiles != ALL_PROFILES:
            assert keys.shards[1] == keys.shards[0] + 1
