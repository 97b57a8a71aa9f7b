"""One number for several columns sorts as they do, or there is none."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.sort_key import order_by, sort_key

NUMBER = st.sampled_from([-1, 0, 1, 5, 2**20, 2**40, 2**62])


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=20))
def test_order_is_that_of_the_rows_and_equal_rows_stay(rows):
    """Also where 63 bits are too few, or a number is negative."""
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    assert order_by(*columns).tolist() == sorted(range(len(rows)), key=lambda i: rows[i])
    key = sort_key(*columns)
    if key is not None:
        assert len(set(key.tolist())) == len(set(rows))


def test_there_is_none_where_it_would_not_fit():
    """31 and 32 bits do, 32 and 32 do not; nor does a negative number."""
    small, large = np.array([2**31 - 1, 0]), np.array([2**32 - 1, 1])
    assert sort_key(small, large).tolist() == [(2**31 - 1) << 32 | (2**32 - 1), 1]
    assert sort_key(large, large) is None
    assert sort_key(small, large - 2) is None
