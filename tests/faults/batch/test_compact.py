"""Compact killed with SIGKILL at each step: running it again finishes, with the right rows."""

import pytest

from batch import compact
from batch.compacting.job import Compacting
from batch.compacting.refs import refs
from batch.lake import tables
from impressions.core.spec import DAY_MS
from impressions.process.failpoint import hits
from impressions.terminal.report import start_run
from oracle import year as naive
from tests.compare import differences
from tests.faults.size import scaled
from tests.integration.conftest import new_lake
from tests.integration.jobs import run_job
from tests.integration.raw_events import CUTOVER_MS, DATE, counted, edges, ema_rows, write_closed
from tests.tolerance import FLOAT64

pytestmark = pytest.mark.spark

# Where it is killed -> the refs of ema it leaves behind.
LEFT_BEHIND = {
    "after-window": set(),
    "after-write": {"audit_2026_11_15"},
    "after-audit": {"audit_2026_11_15"},
    "after-fast-forward": {"audit_2026_11_15", "main"},
    "after-tag": {"audit_2026_11_15", "main", "gen_2026_11_15"},
}


STEPS = list(LEFT_BEHIND) if scaled(0, 1) else ["after-write", "after-fast-forward"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_and_run_again(spark, tmp_path, step):
    """Before the fast-forward nobody can see a row; after it only the finish is missing."""
    lake = new_lake(tmp_path / "home")
    write_closed(lake, edges())
    fired = tmp_path / "fired"
    killed = run_job(
        "batch.compact",
        lake.settings.home,
        "--logical-date",
        DATE,
        failpoint=f"{step}:kill:1:{fired}",
    )
    assert (killed.returncode, hits(fired)) == (-9, 1), killed.stderr
    ema = tables.full_name(lake.settings, tables.EMA)
    assert set(refs(lake.spark, ema)) == LEFT_BEHIND[step]

    report = compact.compact(
        Compacting(lake.spark, lake.settings, CUTOVER_MS, start_run("compact"))
    )
    assert set(refs(lake.spark, ema)) == {"main", "gen_2026_11_15"}
    assert report.changed == ("main" not in LEFT_BEHIND[step])
    expected = naive.answers(counted(edges()), CUTOVER_MS)
    assert differences(ema_rows(lake), expected, FLOAT64) == []


def test_tag_missing_after_a_crash_is_set_by_the_next_date(spark, tmp_path):
    """A scheduler may go on with next week: the week before must not lose its name."""
    lake = new_lake(tmp_path / "home")
    later_ms = CUTOVER_MS + 7 * DAY_MS
    write_closed(lake, edges(), valid_through_ms=later_ms)
    fired = tmp_path / "fired"
    run_job(
        "batch.compact", lake.settings.home, "--logical-date", DATE,
        failpoint=f"after-fast-forward:kill:1:{fired}",
    )  # fmt: skip
    assert hits(fired) == 1
    compact.compact(Compacting(lake.spark, lake.settings, later_ms, start_run("compact")))
    ema = tables.full_name(lake.settings, tables.EMA)
    assert set(refs(lake.spark, ema)) == {"main", "gen_2026_11_15", "gen_2026_11_22"}
    expected = naive.answers(counted(edges()), CUTOVER_MS)
    assert differences(ema_rows(lake, "gen_2026_11_15"), expected, FLOAT64) == []
