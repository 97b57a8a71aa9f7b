"""When an answer says that it is not complete, and why."""

import pytest

from impressions.core.completeness import Incomplete, StreamState, reasons, stream_reasons
from impressions.core.spec import Spec

CUTOVER_MS, NOW_MS, LAG_MS = 1_000_000, 5_000_000, 15_000
FRESH = StreamState(through_ms=NOW_MS - 100, since_ms=CUTOVER_MS, restoring=False)


@pytest.mark.parametrize(
    ("stream", "cutover_ms", "expected"),
    [
        (FRESH, CUTOVER_MS, ()),
        (FRESH, CUTOVER_MS - 1, (Incomplete.DELTAS_MISSING,)),
        (FRESH, None, ()),
        (StreamState(NOW_MS - LAG_MS, 0, False), CUTOVER_MS, ()),
        (StreamState(NOW_MS - LAG_MS - 1, 0, False), CUTOVER_MS, (Incomplete.STREAM_BEHIND,)),
        (StreamState(NOW_MS + LAG_MS + 1, 0, False), CUTOVER_MS, (Incomplete.STREAM_BEHIND,)),
        (StreamState(None, 0, False), CUTOVER_MS, (Incomplete.DELTAS_MISSING,)),
        (StreamState(None, 0, True), CUTOVER_MS, (Incomplete.RESTORING,)),
        (
            StreamState(0, 0, True),
            CUTOVER_MS,
            (Incomplete.RESTORING, Incomplete.STREAM_BEHIND),
        ),
    ],
)
def test_the_live_half_says_what_it_lacks(stream, cutover_ms, expected):
    """Edges: exactly the cutover needs nothing older; exactly the bound is not behind."""
    assert stream_reasons(stream, cutover_ms, NOW_MS, LAG_MS) == expected


def test_without_a_generation_nothing_is_complete():
    """Whether a stream answers or nothing does."""
    assert reasons(NOW_MS, None, Spec()) == (Incomplete.NO_GENERATION,)
