"""The rule of validity at its edges, and equal to the oracle's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.event import Reason, check
from impressions.core.spec import DAY_MS, Spec
from oracle import naive

SPEC = Spec()
INGEST_MS = 20_000 * DAY_MS


def one(event_ms=INGEST_MS, profile=1, title=1, location=0, dwell_s=0.0):
    """(reason, counted event time) of a single impression."""
    ints = ([profile], [title], [location], [event_ms], [INGEST_MS])
    columns = [np.array(c, np.int64) for c in ints]
    reasons, counted = check(*columns, np.array([dwell_s], np.float64), SPEC)
    return Reason(reasons[0]), int(counted[0])


@pytest.mark.parametrize(
    ("late_ms", "reason", "counted_late_ms"),
    [
        (0, Reason.OK, 0),
        (337 * DAY_MS, Reason.OK, 337 * DAY_MS),
        (337 * DAY_MS + 1, Reason.OUT_OF_WINDOW, None),
        (-5 * 60_000, Reason.OK, -5 * 60_000),
        (-5 * 60_000 - 1, Reason.OK, 0),
        (-30 * DAY_MS, Reason.OK, 0),
    ],
    ids=["now", "oldest", "too old", "5 min ahead", "a ms more: clamped", "30 days ahead: clamped"],
)
def test_event_times(late_ms, reason, counted_late_ms):
    """Exactly 337 days late and exactly 5 minutes ahead count; a millisecond more does not."""
    found, counted_ms = one(INGEST_MS - late_ms)
    assert found is reason
    if counted_late_ms is not None:
        assert counted_ms == INGEST_MS - counted_late_ms


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"profile": -1}, Reason.BAD_PROFILE),
        ({"title": -1}, Reason.BAD_TITLE),
        ({"title": 2**55}, Reason.BAD_TITLE),
        ({"location": 256}, Reason.BAD_LOCATION),
        ({"location": -1}, Reason.BAD_LOCATION),
        ({"dwell_s": -0.001}, Reason.BAD_DWELL),
        ({"dwell_s": math.nan}, Reason.BAD_DWELL),
        ({"dwell_s": math.inf}, Reason.BAD_DWELL),
        ({"dwell_s": 86_400.0}, Reason.OK),
        ({"dwell_s": 86_400.001}, Reason.BAD_DWELL),
        ({"profile": -1, "dwell_s": -1.0}, Reason.BAD_PROFILE),
        ({"profile": 0, "title": 0}, Reason.OK),
    ],
)
def test_ids_and_dwell(change, reason):
    """Zero is an id; the first check that fails names the reason."""
    assert one(**change)[0] is reason


@given(
    st.integers(-5, 5) | st.just(2**63 - 1), st.integers(-5, 5) | st.integers(2**55 - 2, 2**55 + 2),
    st.integers(-3, 258), st.integers(-400 * DAY_MS, 400 * DAY_MS), st.floats(),
)  # fmt: skip
def test_the_oracle_rejects_the_same(profile, title, location, late_ms, dwell_s):
    """Product and oracle agree on every impression."""
    event = {"title": title, "location": location, "dwell_s": dwell_s,
             "event_ms": INGEST_MS - late_ms}  # fmt: skip
    rejected = naive.why_rejected(profile, INGEST_MS, event) is not None
    found, _ = one(INGEST_MS - late_ms, profile, title, location, dwell_s)
    assert (found is not Reason.OK) == rejected
