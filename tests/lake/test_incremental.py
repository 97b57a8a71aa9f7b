"""A generation computed from the one before it: equal to one from scratch, or computed from raw."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import compact as compaction
from batch.compacting import part, planning
from batch.compacting.incremental import costs, steps
from batch.compacting.incremental.forms import TURNS, is_due
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.jobs.tasks import Runner
from batch.lake import generations, incremental_record, snapshots, tables
from batch.lake.data_files import LiveFile, live_files
from batch.lake.guarded_commit import commit
from batch.lake.incremental_record import Record
from batch.lake.locations import local_path
from impressions.compiled import shifts
from impressions.core.errors import AuditFailed, CorruptData
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, edges, ema_rows, event, write_closed
from tests.tolerance import FLOAT64

SEED = 20261130
WEEK_MS, HOUR_MS = 7 * DAY_MS, 3_600_000
SHARDS = 4
GAIN = costs.GAIN


def drawn(rng: random.Random, low_ms: int, high_ms: int, count: int) -> list[Any]:
    """Events of 60 profiles ingested on some days of [low_ms, high_ms): late ones, early ones,
    titles that are seen for some weeks and then no more."""
    events, apart_ms = [], 3 * DAY_MS if high_ms - low_ms < 60 * DAY_MS else 11 * DAY_MS
    for _ in range(count):
        ingest_ms = rng.choice(range(low_ms, high_ms, apart_ms))
        ingest_ms += rng.randrange(min(DAY_MS, high_ms - ingest_ms))
        late_ms = rng.choice(
            [rng.randrange(-299_000, 1), rng.randrange(DAY_MS), rng.randrange(337 * DAY_MS)]
        )
        season = ingest_ms // (40 * DAY_MS) % 5
        of = event(
            season * 10 + rng.randint(1, 6), ingest_ms - late_ms, int(rng.random() < 0.3),
            round(rng.expovariate(0.3), 3) * (rng.random() < 0.8), rng.randint(0, 2),
        )  # fmt: skip
        events.append((rng.randint(101, 160), of, ingest_ms))
    return events


class Chain:
    """A lake to which time and events are added, compacted again and again. A slot is a file of
    all shards, or a file each in the `old` layout."""

    def __init__(
        self, home: Path, slot_seconds: int = 86_400, count: int = 900, *, old: bool = False,
        shards: int = SHARDS,
    ):  # fmt: skip
        self.rng, self.old = random.Random(SEED), old
        settings = Settings(home=home, partitions=shards, slot_seconds=slot_seconds)
        self.lake: Any = Lake(settings, None)  # type: ignore[arg-type]
        self.now_ms = CUTOVER_MS
        events = [*edges(), *drawn(self.rng, CUTOVER_MS - 380 * DAY_MS, CUTOVER_MS, count)]
        self.events = [row for row in events if row[2] < CUTOVER_MS]
        write_closed(self.lake, self.events, duplicates=self.events[::9], old=old)

    def goes_on(self, by_ms: int, count: int = 60) -> None:
        """Time passes, and so many events come."""
        until_ms = self.now_ms + by_ms
        more = drawn(self.rng, self.now_ms, until_ms, count) if by_ms else []
        self.add(more, until_ms)
        self.now_ms = until_ms

    def add(self, events: list[Any], valid_through_ms: int = 0) -> None:
        self.events += events
        through_ms = max(valid_through_ms, self.now_ms) + DAY_MS
        write_closed(
            self.lake, events, duplicates=events[::9], valid_through_ms=through_ms, old=self.old
        )

    def compact(self, *, from_scratch: bool = False, exports: bool = False, width: int = 2) -> Any:
        runner, this = Runner(), start_run("compact")
        runner.width = width
        job = Compacting(self.lake.settings, self.now_ms, this, runner, from_scratch)
        exporting = Exporting.of(self.lake.settings, self.now_ms, this) if exports else None
        return compaction.compact(job, exporting)

    @property
    def ema(self) -> Any:
        return tables.require(self.lake.settings, tables.EMA, hint="")

    @property
    def generation(self) -> generations.Generation:
        found = generations.history(self.ema).main
        assert found is not None
        return found

    def generation_of(self, cutover_ms: int) -> generations.Generation:
        found = generations.history(self.ema).of(cutover_ms)
        assert found is not None
        return found

    def require_right(self) -> None:
        """Every row of main is the oracle's."""
        counted = [row for row in self.events if row[2] < self.now_ms]
        expected = naive.answers(counted, self.now_ms)
        assert len(expected) > 200
        assert differences(ema_rows(self.lake), expected, FLOAT64) == [], f"seed {SEED}"


def forms(outcome: Any) -> dict[str, list[int]]:
    """Form -> shards."""
    found: dict[str, list[int]] = {}
    for one in outcome.extra["forms"]:
        found.setdefault(one["form"], []).append(one["shard"])
    return found


def reasons(outcome: Any) -> set[str]:
    return {one["why"] for one in outcome.extra["forms"]}


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are not judged: that costs more than all the rest, and is not the matter here. Shards
    are had from the generation before wherever that is allowed, dear or not."""
    monkeypatch.setattr(compaction, "_ordinary", lambda job, writes: [])
    monkeypatch.setattr(costs, "GAIN", 0.0)


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As costs say."""
    monkeypatch.setattr(costs, "GAIN", GAIN)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """One generation, and a week of events since."""
    made = Chain(tmp_path, count=600)
    made.compact()
    made.goes_on(WEEK_MS)
    return made


@pytest.fixture
def old_chain(tmp_path: Path) -> Chain:
    """The same in files of one shard each."""
    made = Chain(tmp_path, count=600, old=True)
    made.compact()
    made.goes_on(WEEK_MS)
    return made


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


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "read twice"])
def test_a_row_of_a_new_slot_that_is_not_read_once_is_found(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Of a file that has rows of several shards: each shard's rows are known."""
    real, damaged = steps._step, []

    def step(compiled: Any, pieces: Any, *more: Any) -> Any:
        *others, new = pieces
        if new is not None:
            damaged.append(1)
            new = pa.concat_batches([*[new.slice(0, 1)] * times, new.slice(1)])
        return real(compiled, [*others, new], *more)

    monkeypatch.setattr(steps, "_step", step)
    before = chain.generation
    with pytest.raises(CorruptData, match=r"shard \d: .* rows of raw were read") as refused:
        chain.compact()
    assert damaged
    assert refused.value.reason == "rows_differ"
    assert chain.generation == before


def test_rows_that_a_file_of_several_shards_lost_are_missed(chain: Chain) -> None:
    """It was replaced by a shorter one: the table's metadata say how many it had."""
    raw = tables.require(chain.lake.settings, tables.RAW, hint="")
    files = live_files(raw, snapshots.main_id(raw))
    path = local_path(max(files, key=lambda file: file.data.record_count).path)
    assert path is not None
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(CorruptData, match=r"rows of shards below 4, expected") as refused:
        chain.compact()
    assert refused.value.reason == "rows_differ"


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


def damaged(change: Callable[[Any], None]) -> Callable[..., Any]:
    real = steps._step

    def step(*given: Any) -> Any:
        reading, made = real(*given)
        if len(made.rows):
            change(made)
        return reading, made

    return step


def add_drift(made: Any) -> None:
    made.rows.sums[2, 4] *= 1 + 2e-9


def lose_a_play(made: Any) -> None:
    made.rows.totals[1, 0] += 1


@pytest.mark.parametrize("change", [add_drift, lose_a_play])
def test_a_shard_that_differs_both_ways_publishes_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    """The error names the shard and the profile, and what to do; which then works."""
    before = chain.generation
    with monkeypatch.context() as patch:
        patch.setattr(steps, "_step", damaged(change))
        with pytest.raises(AuditFailed, match=r"in shard \d, profile \d+, expected 0, 0") as caught:
            chain.compact()
    assert caught.value.reason == "audit_incremental"
    assert "--logical-date 2026-11-22 --from-scratch" in (caught.value.hint or "")
    assert chain.generation == before
    assert chain.compact(from_scratch=True).extra["status"] == "published"
    chain.require_right()


@pytest.mark.parametrize(
    ("change", "audit"), [(lose_a_play, "conservation"), (add_drift, "sample")]
)
def test_shards_that_are_not_compared_are_audited_like_others(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], audit: str
) -> None:
    """Damage between the kernel and everything after it, of incremental shards alone."""
    real = part._facts

    def damaging(of: part.Part, read: Any, made: Any, spec: Any) -> Any:
        if of.base is not None and not of.both and len(made.rows):
            change(made)
        return real(of, read, made, spec)

    monkeypatch.setattr(part, "_facts", damaging)
    with pytest.raises(AuditFailed) as caught:
        chain.compact()
    assert caught.value.reason == f"audit_{audit}"


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


def test_rows_that_the_generation_before_lost_are_missed(chain: Chain) -> None:
    """A file of it was replaced by a shorter one: its metadata say what must be read."""
    files = live_files(chain.ema, chain.generation.snapshot_id)
    for file in files:
        path = local_path(file.path)
        assert path is not None
        pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(CorruptData, match="or of the generation before"):
        chain.compact()


LEFT_BEHIND: Mapping[str, set[str]] = {
    "after-window": set(),
    "after-write": {"audit_2026_11_22"},
    "after-audit": {"audit_2026_11_22"},
    "after-fast-forward": {"audit_2026_11_22"},
    "after-tag": {"audit_2026_11_22", "gen_2026_11_22"},
}


def test_a_run_that_fails_anywhere_is_finished_by_the_next(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one step after the other; the next run takes the same base."""
    kept = {"main", "gen_2026_11_15"}
    for step, left in list(LEFT_BEHIND.items())[:4]:
        fired = tmp_path / step
        with monkeypatch.context() as switched:
            switched.setenv(VARIABLE, f"{step}:raise:1:{fired}")
            with pytest.raises(InjectedFailure):
                chain.compact()
        assert hits(fired) == 1
        assert set(snapshots.refs(chain.ema)) == kept | left
    chain.compact()
    assert set(snapshots.refs(chain.ema)) == kept | {"gen_2026_11_22"}
    assert chain.generation.incremental.since_ms
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
