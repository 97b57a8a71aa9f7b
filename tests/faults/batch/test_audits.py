"""Each audit against a branch damaged so that this audit, and no other, fails."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from batch.compacting.refs import branch_of, set_branch
from pyspark.sql import functions as F

from batch import compact
from batch.compacting import refs
from batch.compacting.audit_sample import choose
from batch.compacting.auditing import audit
from batch.compacting.computing import compute
from batch.compacting.job import Compacting
from batch.compacting.readiness import window_of_main
from batch.lake import generations, tables
from impressions.core.errors import AuditFailed
from impressions.core.spec import DAY_MS
from impressions.settings.sections import Audits
from impressions.terminal.report import start_run
from tests.integration.conftest import Lake, new_lake
from tests.integration.raw_events import CUTOVER_MS, DATE, event, write_closed, year

pytestmark = pytest.mark.spark

NEXT_MS = CUTOVER_MS + 7 * DAY_MS
NEXT = "2026-11-22"
BRANCH = "audit_2026_11_22"
ONE_PROFILE = Audits(sample_profiles=1)


class Week:
    """The second generation, computed but not audited; `damage` runs SQL on a fresh copy of it."""

    def __init__(self, lake: Lake):
        self.lake, self.spark = lake, lake.spark
        self.ema = tables.full_name(lake.settings, tables.EMA)
        self.branch = branch_of(self.ema, BRANCH)
        self.known = generations.history(tables.find(lake.settings, tables.EMA))
        window = window_of_main(self.job(), tables.find(lake.settings, tables.RAW))
        self.computed = compute(self.job(), window)
        self.good = refs.refs(lake.spark, self.ema)[BRANCH]
        self.sampled = choose(self.computed.rows, NEXT_MS, ONE_PROFILE)

    def job(self, limits: Audits = ONE_PROFILE) -> Compacting:
        settings = self.lake.settings.model_copy(update={"audits": limits})
        return Compacting(settings, NEXT_MS, start_run("compact"))

    def row(self, where: str = "tail_day IS NULL", sampled: bool = False) -> str:
        """A condition that holds for exactly one row, of a profile that is sampled or not."""
        (profile,) = self.sampled
        rows = self.spark.table(self.branch).where(where)
        rows = rows.where(
            F.col("profile_id") == profile if sampled else F.col("profile_id") != profile
        )
        row = rows.orderBy("profile_id", "title_id", "location").first()
        day = "IS NULL" if row["tail_day"] is None else f"= DATE '{row['tail_day']}'"
        return (
            f"profile_id = {row['profile_id']} AND title_id = {row['title_id']} "
            f"AND location = {row['location']} AND tail_day {day}"
        )

    def audit(self, limits: Audits = ONE_PROFILE) -> tuple[list[str], AuditFailed | None]:
        """Names of the audits that fail, and what was raised."""
        computed = replace(self.computed, rows=self.spark.table(self.branch))
        try:
            passed = audit(self.job(limits), computed, self.known)
        except AuditFailed as error:
            return re.findall(r"audit (\w+): found", error.message), error
        assert all(finding.ok for finding in passed.findings)
        return [], None

    def reset(self) -> None:
        set_branch(self.spark, self.ema, BRANCH, at=self.good)


@pytest.fixture(scope="module")
def week(lake):
    events = year(seed=5)
    write_closed(lake, events, valid_through_ms=NEXT_MS)
    job = Compacting(lake.settings, CUTOVER_MS, start_run("compact"))
    compact.compact(job)
    return Week(lake)


@pytest.fixture
def damaged(week):
    """The week with a fresh branch; afterwards main is as it was and the branch still there."""
    week.reset()
    before = refs.refs(week.spark, week.ema)
    yield week
    after = refs.refs(week.spark, week.ema)
    assert after["main"] == before["main"] == week.known.main.snapshot_id
    assert BRANCH in after
    assert f"gen_{NEXT.replace('-', '_')}" not in after


@pytest.mark.slow
@pytest.mark.representative
def test_an_undamaged_branch_passes(damaged):
    assert damaged.audit() == ([], None)
    assert damaged.audit(Audits()) == ([], None)


@pytest.mark.slow
def test_message_names_audit_numbers_and_branch(damaged):
    """What an operator needs: which audit, both numbers, where to look, how to clean up."""
    damaged.spark.sql(f"UPDATE {damaged.branch} SET plays = plays + 41 WHERE {damaged.row()}")
    failing, error = damaged.audit()
    sums = damaged.spark.table(damaged.branch).agg(F.sum("plays")).first()[0]
    assert failing == ["conservation"]
    assert (error.exit_code, error.reason) == (6, "audit_conservation")
    assert "generation 2026-11-22 was not published. audit conservation: found" in error.message
    assert f"plays {sums}," in error.message
    assert f"plays {sums - 41}," in error.message
    assert "branch audit_2026_11_22" in error.hint
    damaged.spark.sql(error.hint.partition("drop it with: ")[2])
    assert BRANCH not in refs.refs(damaged.spark, damaged.ema)
    damaged.reset()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "failing"),
    [
        pytest.param(
            "impressions = impressions + 1", "conservation", marks=pytest.mark.representative
        ),
        ("dwell_s = dwell_s + 0.01", "conservation"),
        ("plays_hl_365d = NULL", "values"),
        ("plays_hl_365d = double('NaN')", "values"),
        ("plays_hl_365d = double('Infinity')", "values"),
        ("impressions_hl_1d = -1e-30", "values"),
        ("last_seen = NULL", "values"),
        ("last_seen = TIMESTAMP '2025-11-20 00:00:00Z'", "values"),
        ("tail_day = DATE '2026-11-01'", "values"),
        ("impressions_hl_7d = impressions_hl_30d * 1.00001", "half_lives"),
        ("shard = (shard + 1) % 4", "partitioner"),
    ],
)
def test_one_wrong_row_fails_its_audit_only(damaged, change, failing):
    damaged.spark.sql(f"UPDATE {damaged.branch} SET {change} WHERE {damaged.row()}")
    assert damaged.audit()[0] == [failing]


@pytest.mark.slow
def test_lost_row_fails_conservation(damaged):
    damaged.spark.sql(f"DELETE FROM {damaged.branch} WHERE {damaged.row()}")
    assert damaged.audit()[0] == ["conservation"]


@pytest.mark.slow
def test_repeated_key_fails_unique_keys(damaged):
    """A second row of a key that adds nothing to any sum."""
    numbers = {"impressions", "plays", "dwell_s", *damaged.lake.settings.spec.decayed_names}
    columns = [
        f"{name} * 0 AS {name}" if name in numbers else name
        for name in damaged.spark.table(damaged.branch).columns
    ]
    damaged.spark.sql(
        f"INSERT INTO {damaged.branch} SELECT {', '.join(columns)} FROM {damaged.branch} "
        f"WHERE {damaged.row()}"
    )
    assert damaged.audit()[0] == ["unique_keys"]


@pytest.mark.slow
def test_lost_shard_fails_shards(damaged):
    """A shard's totals moved to a row of another shard: the sums still balance."""
    rows = damaged.spark.table(damaged.branch)
    kept = rows.where(F.col("profile_id") == damaged.sampled[0]).first()["shard"]
    lost = (kept + 1) % 4
    sums = (F.sum(name) for name in ("impressions", "plays", "dwell_s"))
    n, plays, dwell = rows.where(F.col("shard") == lost).agg(*sums).first()
    victim = damaged.row(f"tail_day IS NULL AND shard = {kept}")
    damaged.spark.sql(f"DELETE FROM {damaged.branch} WHERE shard = {lost}")
    damaged.spark.sql(
        f"UPDATE {damaged.branch} SET impressions = impressions + {n}, plays = plays + {plays}, "
        f"dwell_s = dwell_s + {dwell!r}D WHERE {victim}"
    )
    assert damaged.audit()[0] == ["shards"]


@pytest.mark.slow
def test_wrong_formula_fails_sample(damaged):
    """Decayed sums that are a millionth too large break no other rule."""
    changes = ", ".join(
        f"{name} = {name} * 1.000001D" for name in damaged.lake.settings.spec.decayed_names
    )
    row = damaged.row(sampled=True)
    damaged.spark.sql(f"UPDATE {damaged.branch} SET {changes} WHERE {row}")
    failing, error = damaged.audit()
    assert failing == ["sample"]
    assert f"profile {damaged.sampled[0]} title" in error.message


@pytest.mark.slow
def test_row_of_another_profile_fails_sample(damaged):
    """A title that was never seen: its key is named."""
    row = damaged.row(sampled=True)
    damaged.spark.sql(f"UPDATE {damaged.branch} SET title_id = 777 WHERE {row}")
    failing, error = damaged.audit()
    assert failing == ["sample"]
    assert "title 777" in error.message


@pytest.mark.slow
def test_unusual_volume_fails_volume(damaged):
    """Against the generation before, with bounds that this week is out of."""
    failing, error = damaged.audit(Audits(sample_profiles=1, volume_max_ratio=0.9))
    assert failing == ["volume"]
    assert "times the median of 1 earlier generations" in error.message


@pytest.mark.slow
def test_surplus_column_fails_schema(damaged):
    damaged.spark.sql(f"ALTER TABLE {damaged.ema} ADD COLUMN note string")
    try:
        failing, error = damaged.audit()
        assert failing == ["schema"]
        assert "found note string" in error.message
    finally:
        damaged.spark.sql(f"ALTER TABLE {damaged.ema} DROP COLUMN note")


@pytest.mark.slow
def test_empty_window_is_never_published(spark, tmp_path):
    """Through the real command: exit 6, JSON on stdout, nothing on main, the branch kept."""
    lake = new_lake(tmp_path)
    write_closed(lake, [], duplicates=[(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    done = subprocess.run(
        [
            sys.executable, "-m", "batch.compact", "--logical-date", DATE, "--json",
            "--set", f"home={tmp_path}", "--set", "partitions=4", "--set", "spark.master=local[2]",
        ],
        capture_output=True, text=True, timeout=800, env=os.environ, check=False,
    )  # fmt: skip
    error = json.loads(done.stdout)
    assert done.returncode == error["exit_code"] == 6
    assert error["reason"] == "audit_volume"
    assert "found 0 impressions, expected at least 1 impression" in error["message"]
    ema = tables.full_name(lake.settings, tables.EMA)
    assert set(refs.refs(lake.spark, ema)) == {"audit_2026_11_15"}
