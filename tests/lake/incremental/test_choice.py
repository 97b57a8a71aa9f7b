"""Which shards are computed from the generation before and which from raw; what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch.compacting.incremental import costs
from batch.compacting.incremental.forms import TURNS, is_due
from batch.lake import generations, incremental_record, snapshots, tables
from batch.lake.data_files import LiveFile, live_files
from batch.lake.guarded_commit import commit
from batch.lake.incremental_record import Record
from batch.lake.locations import local_path
from impressions.compiled import shifts
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from tests.integration.raw_events import CUTOVER_MS, event
from tests.lake.incremental.chain import SHARDS, WEEK_MS, Chain, forms, reasons


def test_the_report_says_which_form_and_why(old_chain: Chain, weighed: None) -> None:
    """And what was weighed; the generation says since when its shards are not from scratch."""
    chain = old_chain
    done = chain.compact()
    before = "2026-11-15"
    assert reasons(done) == {
        f"reads less from {before}",
        "its turn to be computed both ways; last from scratch at 2026-11-15T00:00:00Z",
    }
    for one in done.extra["forms"]:
        assert 0 < one["incremental_bytes"] * costs.GAIN < one["scratch_bytes"]
    [turn] = forms(done)["both ways"]
    assert f"3 of 4 shards incremental: reads less from {before}" in done.extra["shards"]
    others = {shard: CUTOVER_MS for shard in range(SHARDS) if shard != turn}
    assert chain.generation.incremental == Record(before, others)
    chain.goes_on(WEEK_MS)
    chain.compact()
    since = chain.generation.incremental.since_ms
    assert since[turn] == CUTOVER_MS + WEEK_MS
    assert sorted(since.values()) == [CUTOVER_MS, CUTOVER_MS, CUTOVER_MS + WEEK_MS]


def test_what_is_dearer_from_the_generation_before_is_computed_from_scratch(
    chain: Chain, weighed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "OLD_BYTE", 1e6)
    done = chain.compact()
    assert (set(forms(done)), reasons(done)) == ({"from scratch"}, {"reads less from scratch"})
    assert "incremental" not in chain.generation.audits
    assert chain.generation.incremental == Record()


def test_from_scratch_where_it_is_asked_for(chain: Chain) -> None:
    assert reasons(chain.compact(from_scratch=True)) == {"--from-scratch"}
    chain.require_right()


def test_late_rows_in_old_slots_change_the_shards_of_their_files(chain: Chain) -> None:
    """Rows of all shards that reached a slot after the generation was computed from it: a file of
    the first and the last shard may hold rows of those between."""
    late_ms = CUTOVER_MS - 9 * DAY_MS
    chain.add([(profile, event(1, late_ms), late_ms) for profile in range(101, 121)])
    done = chain.compact()
    assert set(forms(done)) == {"from scratch"}
    assert all("changed" in why for why in reasons(done))
    chain.require_right()


def test_late_rows_in_old_slots_change_their_shard_alone(old_chain: Chain) -> None:
    """A row that reached a slot after the generation was computed from it."""
    chain = old_chain
    chain.add([(101, event(1, CUTOVER_MS - 9 * DAY_MS), CUTOVER_MS - 9 * DAY_MS)])
    done = chain.compact()
    [shard] = [one["shard"] for one in done.extra["forms"] if "changed" in one["why"]]
    assert shard in forms(done)["from scratch"]
    assert forms(done)["incremental"]
    chain.require_right()


@pytest.mark.parametrize("old", [False, True], ids=["a file a slot", "a file a shard"])
def test_rows_that_are_erased_leave_the_generation(tmp_path: Path, old: bool) -> None:
    """A file of an old slot is gone, with the impressions in it."""
    chain = Chain(tmp_path, count=600, old=old)
    chain.compact()
    chain.goes_on(WEEK_MS)
    raw = tables.require(chain.lake.settings, tables.RAW, hint="")
    files = live_files(raw, snapshots.main_id(raw))
    gone = max((f for f in files if f.slot_ms < CUTOVER_MS), key=lambda f: f.data.record_count)
    through = {snapshots.VALID_THROUGH: str(chain.now_ms)}
    commit(raw, [], through, removed=[gone.data])
    done = chain.compact()
    assert set(range(*gone.shards)) <= {*forms(done)["from scratch"]}
    assert bool(forms(done).get("incremental")) == old
    chain.events = [row for row in chain.events if not is_in(row, gone)]
    chain.require_right()


def is_in(row: Any, file: LiveFile) -> bool:
    shard = shard_of(row[0], SHARDS)
    return row[2] // DAY_MS * DAY_MS == file.slot_ms and file.may_hold((shard, shard + 1))


def test_more_days_than_there_is_a_tail_are_computed_from_scratch(tmp_path: Path) -> None:
    """Days that leave the window would still be in the body."""
    chain = Chain(tmp_path, count=300)
    chain.compact()
    chain.goes_on(29 * DAY_MS)
    assert reasons(chain.compact()) == {"2026-11-15 is 29 days before, more than 28"}


def test_a_source_that_has_expired_is_no_base(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say any more what the generation before was computed from."""
    known = generations.history(chain.ema)
    assert known.main is not None
    gone = replace(known, main=replace(known.main, source_id=1))
    monkeypatch.setattr(generations, "history", lambda ema: gone)
    assert any("has expired" in why for why in reasons(chain.compact()))
    chain.require_right()


def test_a_recorded_digest_that_is_another_is_no_base(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = generations.history(chain.ema)
    assert known.main is not None
    other = replace(known, main=replace(known.main, window_digest="0" * 64))
    monkeypatch.setattr(generations, "history", lambda ema: other)
    assert any("its digest is not the one" in why for why in reasons(chain.compact()))


def test_an_unfit_shard_is_computed_from_scratch_until_its_turn(chain: Chain) -> None:
    """Dwell in thirds of a second; its files are deleted, and next week it is not tried again."""
    fine = [(profile, event(3, chain.now_ms - DAY_MS, 0, 1 / 3), chain.now_ms - DAY_MS)
            for profile in (101, 102)]  # fmt: skip
    chain.add(fine)
    done = chain.compact(exports=True)
    unfit = chain.generation.incremental.unfit
    assert unfit
    assert set(forms(done)["from scratch"]) | {*forms(done).get("both ways", [])} >= unfit
    words = shifts.WORDS[shifts.FINER]
    assert any(words in why for why in reasons(done))
    chain.require_right()
    listed = {f.path for f in live_files(chain.ema, chain.generation.snapshot_id)}
    earlier = {f.path for f in live_files(chain.ema, chain.generation_of(CUTOVER_MS).snapshot_id)}
    on_disk = {str(p) for p in Path(chain.lake.settings.home).rglob("ema/data/**/*.parquet")}
    assert on_disk == {str(local_path(path)) for path in listed | earlier}
    directory = chain.lake.settings.home_dir / "generations" / "2026-11-22"
    manifest = manifests.decode((directory / "manifest.json").read_bytes())
    assert manifest.entries == done.counts["entries"]
    chain.goes_on(WEEK_MS)
    again = chain.compact()
    tried = {*forms(again)["both ways"]}
    assert chain.generation.incremental.unfit >= unfit - tried
    assert any("tried at its turn" in why for why in reasons(again)) or unfit <= tried
    chain.require_right()


@pytest.mark.parametrize("partitions", [1, 4, 13, 64])
def test_every_shard_has_its_turn_in_thirteen_weeks(partitions: int) -> None:
    """A thirteenth each week; of fewer shards than turns, one."""
    weeks = [CUTOVER_MS + week * WEEK_MS for week in range(TURNS)]
    due = [{s for s in range(partitions) if is_due(s, at, at, partitions)} for at in weeks]
    assert set().union(*due) == set(range(partitions))
    most = -(-partitions // TURNS)
    assert all(1 <= len(one) <= most for one in due)


def test_a_shard_that_missed_its_turn_is_due_after_a_quarter_of_a_year() -> None:
    """Weeks that were left out do not let it drift for longer."""
    at_ms = next(ms for ms in range(CUTOVER_MS, CUTOVER_MS + 91 * DAY_MS, WEEK_MS)
                 if not is_due(5, ms, ms, 64))  # fmt: skip
    assert not is_due(5, at_ms - 90 * DAY_MS, at_ms, 64)
    assert is_due(5, at_ms - 91 * DAY_MS, at_ms, 64)


def test_what_a_generation_says_is_read_back() -> None:
    said = Record("2026-11-15", {0: 5, 3: 5, 2: 7}, frozenset({1}))
    assert incremental_record.decode(incremental_record.encode(said)) == said
    assert incremental_record.encode(Record()) == {}
    assert incremental_record.decode({}) == Record()
