"""The numbers that docs/architecture.md follows from raw events to the answer."""

import numpy as np
import pytest

from impressions.core import item, slot, window
from impressions.core.answer import Query, project
from impressions.core.merge import merge
from impressions.core.shard import shard_of
from impressions.core.spec import Spec
from impressions.formats import profile_block
from oracle import naive
from tests.blocks import profile_block_of

SPEC = Spec()


def ms(text):
    return slot.parse_logical_date(text, Spec(slot_ms=1000))


CUTOVER_MS = ms("2026-11-15")
PROFILE = 42


def impression(title, location, event, played, dwell_s):
    return {"title": title, "location": location, "event_ms": ms(event), "played": played,
            "dwell_s": dwell_s}  # fmt: skip


A = impression(7, 1, "2026-11-14T12:00:00", 1, 10.0)
B = impression(7, 1, "2026-11-08", 0, 2.0)
C = impression(9, 0, "2025-11-20", 1, 60.0)
LOGS = [
    (PROFILE, 101, ms("2025-11-20T00:00:05"), [C]),
    (PROFILE, 102, ms("2026-11-08T00:00:05"), [B]),
    (PROFILE, 103, ms("2026-11-14T12:00:05"), [A]),
    (PROFILE, 103, ms("2026-11-14T12:01:05"), [A]),
]


def answer_at(text):
    """Title -> (impressions, impressions/7d, plays/7d, dwell_s/365d, rate); the block's size."""
    applied, counts = naive.accept(LOGS)
    assert counts == {"applied": 3, "duplicate": 1, "rejected": 0}
    data = profile_block_of([e for _, e, _ in applied], CUTOVER_MS, SPEC)
    rows = merge(ms(text), CUTOVER_MS, profile_block.decode(data, SPEC), [], SPEC)
    everything = Query(SPEC.measure_names, SPEC.half_lives_days, totals=True, ema_rates=True)
    got = project(rows, everything, SPEC)
    columns = (
        got.totals["impressions"], got.decayed["impressions", 7], got.decayed["plays", 7],
        got.decayed["dwell_s", 365], got.ema_rates["impressions", 7],
    )  # fmt: skip
    table = np.stack(columns, axis=1).tolist()
    return dict(zip(got.title_ids.tolist(), table, strict=True)), len(data)


def test_where_the_profile_lives():
    """Shard 0 of 4; the key of title 7 at location 1 is 7 * 256 + 1."""
    assert shard_of(PROFILE, 4) == 0
    assert item.pack(np.array([7]), np.array([1])).tolist() == [1793]


def test_the_tail_day():
    """20 November 2025 is one of the days that leave within 28 days of the cutover."""
    assert window.utc_day(C["event_ms"]) in window.tail_days(CUTOVER_MS, SPEC)


def test_at_the_cutover():
    """Title 7: 2^-(0.5/7) + 2^-(7/7) = 0.951695 + 0.5; title 9 weighs 2^-(360/7)."""
    answer, size_bytes = answer_at("2026-11-15")
    assert size_bytes == 185
    assert answer[7] == pytest.approx([2, 1.451695, 0.951695, 11.96410, 0.143748], rel=1e-5)
    assert answer[9] == pytest.approx([1, 3.30594e-16, 3.30594e-16, 30.28614, 3.2736e-17], rel=1e-5)


def test_a_week_later():
    """Everything decays by one factor per half-life; title 9's day has left the window."""
    answer, _ = answer_at("2026-11-22")
    assert list(answer) == [7]
    assert answer[7] == pytest.approx([2, 0.725847, 0.475847, 11.80611, 0.071874], rel=1e-5)
