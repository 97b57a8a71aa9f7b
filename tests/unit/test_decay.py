"""The formula, in numbers one can check by hand."""

import numpy as np
import pytest

from impressions.core.decay import rate_per_day, shift_factors, weights
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()


def test_half_lives():
    """After one half-life half is left, after two a quarter; the future weighs more than one."""
    table = weights(np.array([0, DAY_MS, 2 * DAY_MS, 7 * DAY_MS, -DAY_MS]), SPEC)
    assert table.shape == (5, 5)
    assert table[0].tolist() == [1.0, 0.5, 0.25, 2.0**-7, 2.0]
    assert table[1, 3] == 0.5


def test_shifting_twice_is_shifting_once():
    """Moving the reference by 3 days and then by 4 is moving it by 7."""
    twice = shift_factors(0, 3 * DAY_MS, SPEC) * shift_factors(3 * DAY_MS, 7 * DAY_MS, SPEC)
    assert twice == pytest.approx(shift_factors(0, 7 * DAY_MS, SPEC), rel=1e-12)


def test_the_rate_of_a_steady_stream_is_its_rate():
    """Ten events a day, every day for 40 half-lives: the EMA rate is 10 a day within 0.1 %."""
    every = np.arange(0, 40 * 7 * DAY_MS, DAY_MS // 10)
    assert weights(every, SPEC)[1].sum() * rate_per_day(7) == pytest.approx(10, rel=1e-2)
