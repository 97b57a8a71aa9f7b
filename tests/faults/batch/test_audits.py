"""Each audit against rows damaged so that this audit, and no other, fails: by the whole command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from batch.compact import compact
from batch.compacting import audit_sample, part, readiness
from batch.compacting.job import Compacting
from batch.lake import refs, snapshots, tables
from batch.lake.ema_columns import NOT_TAIL, Columns
from batch.lake.generations import history
from impressions.core.errors import AuditFailed
from impressions.core.shard import shards_of
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.sections.batch import Audits
from impressions.terminal.report import start_run
from tests.integration.conftest import plain_lake
from tests.integration.raw_events import CUTOVER_MS, DATE, edges, event, write_closed

NEXT_MS = CUTOVER_MS + 7 * DAY_MS
NEXT = "2026-11-22"
BRANCH = "audit_2026_11_22"
SPEC = Spec()
PROFILES = range(101, 501, 10)
Damage = Callable[[Columns, int], Columns]


def events() -> list[Any]:
    """The edges, and 40 profiles of eight titles on three days."""
    days = [CUTOVER_MS - n * DAY_MS for n in (1, 2, 340)]
    return edges() + [
        (profile, event(title, ms + profile, int(title % 3 == 0), 1.5 + title), ms + DAY_MS // 2)
        for profile in PROFILES
        for title in range(1, 9)
        for ms in days
    ]


class Week:
    """The second generation, of the same events a week later."""

    def __init__(self, lake: Any, monkeypatch: pytest.MonkeyPatch):
        self.lake, self._patch = lake, monkeypatch
        self.sampled = self._sampled()

    def compact(self, damage: Damage | None = None, **limits: float) -> AuditFailed | None:
        """Computes it, with rows damaged between the kernel and everything after it."""
        with self._patch.context() as patch:
            if damage is not None:
                patch.setattr(part, "_summed", damaging(part._summed, damage))
            try:
                done = compact(self._job(**limits))
            except AuditFailed as error:
                return error
        assert all(audit["ok"] for audit in done.extra["audits"])
        return None

    @property
    def ema(self) -> Any:
        return tables.find(self.lake.settings, tables.EMA)

    def _job(self, **limits: Any) -> Compacting:
        audits = Audits(sample_profiles=1, **limits)
        settings = self.lake.settings.model_copy(update={"audits": audits})
        return Compacting(settings, NEXT_MS, start_run("compact"), from_scratch=True)

    def _sampled(self) -> set[int]:
        """The profiles that the audit will sample, one a shard: those of the week before lie in the
        same order, for the same events."""
        job, ema = self._job(), self.ema
        raw = tables.require(self.lake.settings, tables.RAW, hint="")
        window = readiness.window_of_main(job, raw)
        from batch.lake.data_files import live_files

        files = live_files(ema, snapshots.main_id(ema))
        ranges = audit_sample.ranges_of(job, window, ema, files)
        return {audit_sample._range(one)[0][0] for one in ranges}


def damaging(summed: Any, damage: Damage) -> Any:
    """The function of a task, whose result of a shard is damaged."""

    def wrapped(compiled: Any, of: Any, cutover_ms: int, spec: Spec) -> Columns:
        made = summed(compiled, of, cutover_ms, spec)
        return damage(made, int(shards_of(of.profiles[:1], 4)[0]))

    return wrapped


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """With one generation, and raw complete for the next."""
    made = plain_lake(tmp_path_factory.mktemp("audits"))
    write_closed(made, events(), valid_through_ms=NEXT_MS)
    compact(Compacting(made.settings, CUTOVER_MS, start_run("compact")))
    return made


@pytest.fixture
def week(lake: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Week]:
    """Afterwards main is as it was, there is no new generation, and the branch is kept."""
    before = history(tables.find(lake.settings, tables.EMA))
    week = Week(lake, monkeypatch)
    yield week
    after = week.ema
    assert history(after) == before
    assert BRANCH in snapshots.refs(after)
    refs.drop_branch(after, BRANCH)


def failing(error: AuditFailed | None) -> list[str]:
    assert error is not None
    return re.findall(r"audit (\w+): found", error.message)


def one_row(
    week: Week, change: Callable[[Columns, int], None], sampled: bool = False, tail: bool = False
) -> Damage:
    """Changes a row outside the tail or in it, of one profile in shard 0 that is sampled or not."""

    def damage(made: Columns, shard: int) -> Columns:
        if shard != 0:
            return made
        wanted = np.isin(made.profiles, list(week.sampled)) == sampled
        wanted &= ((made.days == NOT_TAIL) != tail) & (made.profiles > 100) & (made.profiles < 1000)
        change(made, int(np.flatnonzero(wanted & (made.rows.totals[1] > 0))[0]))
        return made

    return damage


def added(m: int, by: float) -> Callable[[Columns, int], None]:
    def change(made: Columns, i: int) -> None:
        made.rows.totals[m, i] += by

    return change


def decayed(m: int, h: int, value: float) -> Callable[[Columns, int], None]:
    def change(made: Columns, i: int) -> None:
        made.rows.sums[m, h, i] = value

    return change


def seen(ms: int) -> Callable[[Columns, int], None]:
    def change(made: Columns, i: int) -> None:
        made.rows.last_seen_ms[i] = ms

    return change


def no_tail_day(made: Columns, i: int) -> None:
    """A row of the tail, under a day behind it."""
    made.days[i] = NEXT_MS // DAY_MS - 20


def longer(made: Columns, i: int) -> None:
    """The week weighs more than the month."""
    made.rows.sums[0, 1, i] = made.rows.sums[0, 2, i] * 1.00001


@pytest.mark.parametrize(
    ("change", "audit"),
    [
        (added(0, 1), "conservation"),
        (added(2, 0.01), "conservation"),
        (decayed(1, 4, float("nan")), "values"),
        (decayed(1, 4, float("inf")), "values"),
        (decayed(0, 0, -1e-30), "values"),
        (seen(CUTOVER_MS - 360 * DAY_MS), "values"),
        (seen(NEXT_MS + DAY_MS), "values"),
        (no_tail_day, "values"),
        (longer, "half_lives"),
    ],
    ids=["a count", "dwell", "NaN", "infinite", "negative", "seen before the window", "seen later",
         "no tail day", "half-lives"],
)  # fmt: skip
def test_one_wrong_row_fails_its_audit_only(week: Week, change: Any, audit: str) -> None:
    of_tail = change is no_tail_day
    assert failing(week.compact(one_row(week, change, tail=of_tail))) == [audit]


def test_message_names_audit_numbers_and_branch(week: Week) -> None:
    """What an operator needs: which audit, both numbers, where to look, how to clean up."""
    error = week.compact(one_row(week, added(1, 41)))
    assert failing(error) == ["conservation"]
    assert error is not None
    assert (error.exit_code, error.reason) == (6, "audit_conservation")
    assert "generation 2026-11-22 was not published. audit conservation: found" in error.message
    found, expected = (int(n) for n in re.findall(r"plays (\d+)", error.message))
    assert found == expected + 41
    assert "branch audit_2026_11_22" in str(error.hint)
    assert f"DROP BRANCH IF EXISTS `{BRANCH}`" in str(error.hint)


def without(made: Columns, gone: Any) -> Columns:
    kept = np.flatnonzero(~gone)
    return Columns(made.profiles[kept], made.days[kept], made.rows.take(kept))


def test_lost_row_fails_conservation(week: Week) -> None:
    def damage(made: Columns, shard: int) -> Columns:
        unsampled = ~np.isin(made.profiles, list(week.sampled)) & (made.profiles > 100)
        gone = np.zeros(len(made.profiles), np.bool_)
        gone[np.flatnonzero(unsampled)[:1]] = shard == 0
        return without(made, gone)

    assert failing(week.compact(damage)) == ["conservation"]


def test_repeated_key_fails_unique_keys(week: Week) -> None:
    """A second row of a key that adds nothing to any sum."""

    def damage(made: Columns, shard: int) -> Columns:
        if shard != 0:
            return made
        unsampled = ~np.isin(made.profiles, list(week.sampled)) & (made.profiles > 100)
        i = int(np.flatnonzero(unsampled & (made.profiles < 1000))[0])
        twice = np.insert(np.arange(len(made.profiles)), i, i)
        again = Columns(made.profiles[twice], made.days[twice], made.rows.take(twice))
        again.rows.totals[:, i] = 0
        again.rows.sums[:, :, i] = 0
        return again

    assert failing(week.compact(damage)) == ["unique_keys"]


def test_lost_shard_fails_shards(week: Week) -> None:
    """A shard's totals moved to a row of another shard: the sums still balance."""
    lost: dict[str, Any] = {}

    def find(made: Columns, shard: int) -> Columns:
        if shard == 1:
            lost["totals"] = made.rows.totals.sum(axis=1)
        return made

    assert week.compact(lambda made, shard: one_row(week, added(0, 1))(find(made, shard), shard))

    def damage(made: Columns, shard: int) -> Columns:
        if shard == 1:
            return without(made, np.ones(len(made.profiles), np.bool_))

        def change(of: Columns, i: int) -> None:
            of.rows.totals[:, i] += lost["totals"]

        return one_row(week, change)(made, shard)

    assert failing(week.compact(damage)) == ["shards"]


def test_a_profile_of_another_shard_fails_partitioner(week: Week) -> None:
    """All rows of one that is not sampled; the new id keeps its place in the order."""

    def damage(made: Columns, shard: int) -> Columns:
        if shard == 0:
            of = next(p for p in np.unique(made.profiles) if p > 100 and p not in week.sampled)
            after = made.profiles[made.profiles > of].min(initial=2**62)
            others = np.arange(of + 1, after)
            made.profiles[made.profiles == of] = others[shards_of(others, 4) != 0][0]
        return made

    assert failing(week.compact(damage)) == ["partitioner"]


def test_wrong_formula_fails_sample(week: Week) -> None:
    """Decayed sums that are a millionth too large break no other rule."""

    def change(made: Columns, i: int) -> None:
        made.rows.sums[:, :, i] *= 1.000001

    error = week.compact(one_row(week, change, sampled=True))
    assert failing(error) == ["sample"]
    assert re.search(r"profile \d+ title \d+ location 0 \w+_hl_\d+d: ", str(error))


def test_row_of_another_title_fails_sample(week: Week) -> None:
    """A title that was never seen: its key is named."""

    def damage(made: Columns, shard: int) -> Columns:
        mine = np.isin(made.profiles, list(week.sampled))
        if shard == 0:
            made.rows.items[np.flatnonzero(mine)[-1]] = 777 << 8
        return made

    error = week.compact(damage)
    assert failing(error) == ["sample"]
    assert "title 777" in str(error)


def test_unusual_volume_fails_volume(week: Week) -> None:
    """Against the generation before, with bounds that this week is out of."""
    error = week.compact(volume_max_ratio=0.9)
    assert failing(error) == ["volume"]
    assert "times the median of 1 earlier generations" in str(error)


def test_surplus_column_fails_schema(week: Week) -> None:
    from pyiceberg.types import StringType

    with week.ema.update_schema() as update:
        update.add_column("note", StringType())
    try:
        error = week.compact()
        assert failing(error) == ["schema"]
        assert "found note string" in str(error)
    finally:
        with week.ema.update_schema() as update:
            update.delete_column("note")


def test_an_undamaged_generation_passes(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last in this file: it publishes the week. With the defaults, so that all are sampled."""
    done = compact(Compacting(lake.settings, NEXT_MS, start_run("compact")))
    assert done.extra["status"] == "published"
    sample = next(a for a in done.extra["audits"] if a["name"] == "sample")
    profiles = len({row[0] for row in events() if row[1]["event_ms"] >= NEXT_MS - 364 * DAY_MS})
    assert sample["found"] == f"0 differences in {profiles} profiles"


@pytest.mark.slow
def test_empty_window_is_never_published(tmp_path: Any) -> None:
    """Through the real command: exit 6, JSON on stdout, nothing on main, the branch kept."""
    lake = plain_lake(tmp_path)
    write_closed(lake, [], duplicates=[(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    done = subprocess.run(
        [
            sys.executable, "-m", "batch.compact", "--logical-date", DATE, "--json",
            "--set", f"home={tmp_path}", "--set", "partitions=4",
        ],
        capture_output=True, text=True, timeout=800, env=os.environ, check=False,
    )  # fmt: skip
    error = json.loads(done.stdout)
    assert done.returncode == error["exit_code"] == 6
    assert error["reason"] == "audit_volume"
    assert "found 0 impressions, expected at least 1 impression" in error["message"]
    ema = tables.find(lake.settings, tables.EMA)
    assert ema is not None
    assert set(snapshots.refs(ema)) == {"audit_2026_11_15"}
