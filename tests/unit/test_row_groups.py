"""Where row groups end: at shards, whichever pieces the rows come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.lake import row_groups
from batch.lake.row_groups import row_group_ends

LEAST, MOST = 4, 10


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "LEAST_ROWS", LEAST)
    monkeypatch.setattr(row_groups, "MOST_ROWS", MOST)


def ends(rows_of_shards: list[int]) -> list[int]:
    shards = np.repeat(np.arange(len(rows_of_shards)), rows_of_shards)
    return row_group_ends(shards, is_last=True)


@pytest.mark.parametrize(
    ("rows_of_shards", "expected"),
    [
        ([], []),
        ([1, 2], [3]),  # few rows: one row group
        ([2, 2, 3], [4, 7]),  # from four rows on it ends with the shard
        ([3, 8], [3, 11]),  # together they would be more than ten
        ([25], [10, 20, 25]),  # a large shard: ten rows each
        ([23, 2, 2], [10, 20, 25, 27]),  # what is left of it begins the next one
    ],
)
def test_row_groups_end_at_shards(rows_of_shards: list[int], expected: list[int]) -> None:
    assert ends(rows_of_shards) == expected


_ROWS = st.lists(st.integers(0, 30), max_size=12)


@given(_ROWS)
def test_only_a_large_shard_is_cut(rows_of_shards: list[int]) -> None:
    """Each row group has at most ten rows; one that does not end where a shard ends is of one
    shard, and full."""
    edges = set(np.cumsum(rows_of_shards).tolist())
    start = 0
    for end in ends(rows_of_shards):
        assert 0 < end - start <= MOST
        if end not in edges:
            assert end - start == MOST
            assert not any(start < edge < end for edge in edges)
        start = end
    assert start == sum(rows_of_shards)


@given(_ROWS, st.lists(st.integers(1, 25), max_size=8))
def test_pieces_change_no_end(rows_of_shards: list[int], pieces: list[int]) -> None:
    """Rows after the last end wait for those that follow."""
    shards = np.repeat(np.arange(len(rows_of_shards)), rows_of_shards)
    found, start, at = [], 0, 0
    for size in pieces:
        at = min(at + size, len(shards))
        found += [start + end for end in row_group_ends(shards[start:at], is_last=False)]
        start = found[-1] if found else 0
    found += [start + end for end in row_group_ends(shards[start:], is_last=True)]
    assert found == ends(rows_of_shards)
