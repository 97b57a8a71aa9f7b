"""The commits of a generation meet other commits, and answers that never come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Table
from pyiceberg.table.update import AddSnapshotUpdate

from batch import week as steps
from batch.compact import compact
from batch.compacting import computing, publishing
from batch.compacting.job import Compacting
from batch.lake import generations, refs, snapshots, tables
from impressions.core.errors import Refused
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.steps.asked import Week
from impressions.terminal.report import start_run
from tests.fixed_clock import FixedClock
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, event, write_closed


def lake_in(home: Path) -> Any:
    lake: Any = Lake(Settings(home=home, partitions=2), None)  # type: ignore[arg-type]
    at_ms = CUTOVER_MS - DAY_MS
    write_closed(lake, [(profile, event(1, at_ms), at_ms) for profile in range(1, 9)])
    return lake


def run(lake: Any) -> Any:
    return compact(Compacting(lake.settings, CUTOVER_MS, start_run("compact")))


def ema(lake: Any) -> Table:
    return tables.require(lake.settings, tables.EMA, hint="")


def test_a_commit_whose_answer_is_lost_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows, and then what the audits found: both commits happen, no answer comes."""
    lake, lost, do = lake_in(tmp_path), [], Table._do_commit

    def without_answer(table: Table, updates: Any, requirements: Any) -> None:
        if table.name()[-1] != tables.EMA or not any(
            isinstance(update, AddSnapshotUpdate) for update in updates
        ):
            return do(table, updates, requirements)
        table.catalog.commit_table(table, requirements, updates)
        lost.append(updates)
        raise ConnectionError("no answer")

    monkeypatch.setattr(Table, "_do_commit", without_answer)
    assert run(lake).extra["status"] == "published"
    assert len(lost) == 2
    assert set(snapshots.refs(ema(lake))) == {"main", "gen_2026_11_15"}


@pytest.mark.parametrize("published", [True, False], ids=["published", "in its branch"])
def test_two_compacts_of_a_date_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    """The second one to commit is refused by name, and main is that of the first."""
    lake, check, others = lake_in(tmp_path), computing._check_read, list[int]()

    def meanwhile(read: Any, forms: Any) -> None:
        check(read, forms)
        if not others:
            others.append(1)
            with monkeypatch.context() as patch:
                if not published:
                    patch.setattr(publishing, "publish", lambda *_: 1)
                run(lake)

    monkeypatch.setattr(computing, "_check_read", meanwhile)
    with pytest.raises(Refused, match="another compact ran meanwhile") as refused:
        run(lake)
    assert refused.value.reason == "main_moved"
    assert ("gen_2026_11_15" in snapshots.refs(ema(lake))) == published


def test_a_tag_that_another_compact_sets_first_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next date finds main without its tag, and finishes what is just being finished."""
    lake, forward = lake_in(tmp_path), refs.fast_forward

    def then_healed(table: Table, branch: str) -> int:
        head = forward(table, branch)
        other = ema(lake)
        publishing.heal(other, generations.history(other))
        return head

    monkeypatch.setattr(refs, "fast_forward", then_healed)
    assert run(lake).extra["status"] == "published"
    assert set(snapshots.refs(ema(lake))) == {"main", "gen_2026_11_15"}


def test_a_week_takes_a_generation_that_a_crash_left_without_its_tag(tmp_path: Path) -> None:
    """Also where raw has changed since: it is published, and only its finish is missing."""
    lake = lake_in(tmp_path)
    run(lake)
    refs.drop_branch(ema(lake), "gen_2026_11_15")  # a ref like another
    at_ms = CUTOVER_MS - DAY_MS
    write_closed(lake, [(9, event(1, at_ms), at_ms)])
    asked = Week(lake.settings, FixedClock(CUTOVER_MS), cutover_ms=CUTOVER_MS)
    assert steps.quality(asked).line == "judged when the generation was published"
    assert steps.compact(asked).line == "2026-11-15 is published"
    assert steps.export(asked).changed
    assert set(snapshots.refs(ema(lake))) == {"main", "gen_2026_11_15"}
