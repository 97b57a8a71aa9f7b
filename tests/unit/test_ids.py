"""Shards, item keys and hashed ids: the vectors that another language must meet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impressions.core import ids, item
from impressions.core.shard import murmur2, shard_of, shards_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536),
     (b"a-little-bit-longer-string", -1486304829), (b"abc", 479470107)],
)  # fmt: skip
def test_murmur2_is_kafkas(data, expected):
    """The vectors of Kafka's own UtilsTest, signed as Java prints them."""
    assert murmur2(data) == expected % 2**32


@pytest.mark.parametrize(
    ("profile", "hashed", "shard"),
    [(1, 2100486060, 44), (42, 506863552, 0), (1000, 2357394651, 27), (2**40, 611698062, 14)],
)
def test_shards_of_known_profiles(profile, hashed, shard):
    """Shard = murmur2 of the 8 bytes without its sign bit, modulo 64."""
    assert murmur2(item.profile_key(profile)) == hashed
    assert shard_of(profile, 64) == shard


@given(st.lists(st.integers(0, item.MAX_PROFILE)), st.integers(1, 1000))
def test_the_vector_form_equals_the_scalar_form(profiles, partitions):
    """numpy and plain Python agree on every profile and P."""
    found = shards_of(np.array(profiles, np.int64), partitions).tolist()
    assert found == [shard_of(p, partitions) for p in profiles]


@given(st.integers(0, item.MAX_TITLE), st.integers(0, item.MAX_LOCATION))
def test_item_keys_round_trip_and_stay_positive(title, location):
    """Every title and location in range comes back; the key is never negative."""
    key = item.pack(np.array([title]), np.array([location]))
    assert key[0] >= 0
    assert (item.title_of(key)[0], item.location_of(key)[0]) == (title, location)


def test_item_keys_sort_by_title_then_location():
    """(1, 255) < (2, 0) < (2, 1)."""
    keys = item.pack(np.array([2, 1, 2]), np.array([1, 255, 0]))
    assert np.argsort(keys).tolist() == [1, 2, 0]


def test_hashed_ids_are_sha256():
    """sha256("alice") starts 2bd806c97f0e00af..., its low 63 and 55 bits are the ids."""
    assert ids.hash_id("alice", 63) == 0x2BD806C97F0E00AF
    assert ids.hash_id("alice", 55) == 0x2BD806C97F0E00AF & (2**55 - 1)
