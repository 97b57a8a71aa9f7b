"""A generation computed from the one before it equals one from scratch: the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.compacting import planning
from batch.compacting.incremental import steps
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from impressions.core.spec import DAY_MS
from oracle import naive
from tests.compare import differences
from tests.integration.raw_events import CUTOVER_MS, ema_rows
from tests.lake.incremental.chain import SHARDS, WEEK_MS, Chain, forms
from tests.tolerance import FLOAT64

HOUR_MS = 3_600_000


@pytest.mark.slow
@pytest.mark.representative
def test_weeks_after_weeks_equal_the_oracle(tmp_path: Path) -> None:
    """Each from the one before: late events, a week without any, gaps of other lengths."""
    chain, seen = Chain(tmp_path), set()
    assert set(forms(chain.compact())) == {"from scratch"}
    for days, count in ((7, 60), (7, 0), (1, 20), (13, 60), (28, 90), (7, 60)):
        chain.goes_on(days * DAY_MS, count)
        found = forms(chain.compact())
        assert len(found["incremental"]) == SHARDS - 1
        seen |= {*found["both ways"]}
        assert "0 keys, 0 counts and times" in chain.generation.audits["incremental"]
        chain.require_right()
    assert len(seen) > 1


@pytest.mark.slow
def test_files_of_several_shards_give_the_rows_of_one_from_scratch(tmp_path: Path) -> None:
    """Eight shards in slots of six hours: one is computed both ways, the others from the one
    before; and the same events a second time, from scratch."""
    made = []
    for name, from_scratch in (("chosen", False), ("scratch", True)):
        chain = Chain(tmp_path / name, 21_600, 400, shards=8)
        chain.compact()
        chain.goes_on(WEEK_MS)
        raw = tables.require(chain.lake.settings, tables.RAW, hint="")
        files = live_files(raw, snapshots.main_id(raw))
        assert any(file.shards[1] - file.shards[0] > 4 for file in files)
        assert len({file.slot_ms for file in files if file.slot_ms < CUTOVER_MS}) > 50
        done = chain.compact(from_scratch=from_scratch)
        made.append((chain, done))
    (chain, done), (scratch, _) = made
    assert [len(forms(done)[form]) for form in ("incremental", "both ways")] == [7, 1]
    assert chain.generation.entries == scratch.generation.entries
    assert differences(ema_rows(chain.lake), ema_rows(scratch.lake), FLOAT64) == []
    chain.require_right()


def test_cutovers_of_one_day_equal_the_oracle(tmp_path: Path) -> None:
    """No day enters the tail, and none leaves the window."""
    chain = Chain(tmp_path, slot_seconds=21_600, count=300)
    chain.compact()
    for _ in range(2):
        chain.goes_on(6 * HOUR_MS, 20)
        assert len(forms(chain.compact())["incremental"]) == SHARDS - 1
        counted = [row for row in chain.events if row[2] < chain.now_ms]
        expected = naive.answers(counted, chain.now_ms)
        assert differences(ema_rows(chain.lake), expected, FLOAT64) == []


def test_ranges_and_memory_change_no_row(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards cut into ranges of profiles, which read some rows of each file at a time."""
    monkeypatch.setattr(planning, "LEAST_ROWS", 20)
    monkeypatch.setattr(steps, "LEAST_BATCH", 1)
    monkeypatch.setattr(steps, "ROW_BYTES", 1 << 40)
    assert chain.compact(width=16).extra["parts"] > 2 * SHARDS
    chain.require_right()
