"""Compact that fails or is killed at each step: the next run finishes it, with the right rows."""

import pytest

from batch import compact
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.lake import snapshots, tables
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import plain_lake
from tests.integration.jobs import run_job
from tests.integration.raw_events import CUTOVER_MS, DATE, counted, edges, ema_rows, write_closed
from tests.tolerance import FLOAT64

# Where it is killed -> the refs of ema it leaves behind.
LEFT_BEHIND = {
    "after-window": set(),
    "after-write": {"audit_2026_11_15"},
    "after-audit": {"audit_2026_11_15"},
    "after-fast-forward": {"audit_2026_11_15", "main"},
    "after-tag": {"audit_2026_11_15", "main", "gen_2026_11_15"},
}


def refs(lake):
    return snapshots.refs(tables.find(lake.settings, tables.EMA))


@pytest.mark.slow
@pytest.mark.representative
def test_a_compaction_that_fails_anywhere_is_finished_by_the_next(tmp_path, monkeypatch):
    """One date fails at one step after the other, and the next date at the last step."""
    lake, later_ms = plain_lake(tmp_path / "home"), CUTOVER_MS + 7 * DAY_MS
    write_closed(lake, edges(), valid_through_ms=later_ms)
    published = {"main", "gen_2026_11_15"}
    for step in list(LEFT_BEHIND)[:-1]:
        fail_at(step, lake, CUTOVER_MS, tmp_path, monkeypatch)
        assert set(refs(lake)) == LEFT_BEHIND[step]
    run_here(lake, CUTOVER_MS)
    assert set(refs(lake)) == published
    fail_at("after-tag", lake, later_ms, tmp_path, monkeypatch)
    assert set(refs(lake)) == published | {"gen_2026_11_22", "audit_2026_11_22"}
    run_here(lake, later_ms)
    assert set(refs(lake)) == published | {"gen_2026_11_22"}
    for name, cutover_ms in (("gen_2026_11_15", CUTOVER_MS), ("main", later_ms)):
        expected = naive.answers(counted(edges(), cutover_ms), cutover_ms)
        assert differences(ema_rows(lake, name), expected, FLOAT64) == []


def fail_at(step, lake, cutover_ms, tmp_path, monkeypatch):
    """A run that ends at this step with an exception, in this process."""
    fired = tmp_path / step
    with monkeypatch.context() as switched:
        switched.setenv(VARIABLE, f"{step}:raise:1:{fired}")
        with pytest.raises(InjectedFailure):
            run_here(lake, cutover_ms)
    assert hits(fired) == 1


def run_here(lake, cutover_ms, exports=False):
    this = start_run("compact")
    exporting = Exporting.of(lake.settings, cutover_ms, this) if exports else None
    return compact.compact(Compacting(lake.settings, cutover_ms, this), exporting)


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        *LEFT_BEHIND,
        pytest.param("sst-uploaded", marks=pytest.mark.representative),
        "before-publish",
        "before-manifest",
    ],
)
def test_killed_and_run_again(tmp_path, step):
    """With the export in the same pass: before the fast-forward nobody can see a row, after it only
    the finish is missing, and no manifest lists what a killed run left."""
    lake = plain_lake(tmp_path / "home")
    write_closed(lake, edges())
    fired = tmp_path / "fired"
    killed = run_job(
        "batch.compact",
        lake.settings.home,
        "--logical-date",
        DATE,
        "--export",
        failpoint=f"{step}:kill:1:{fired}",
    )
    assert (killed.returncode, hits(fired)) == (-9, 1), killed.stderr
    done = {"main", "gen_2026_11_15"} if step == "before-manifest" else set()
    left = LEFT_BEHIND.get(step, done)
    assert set(refs(lake)) == left
    directory = lake.settings.home_dir / "generations" / DATE
    assert not (directory / "manifest.json").exists()

    report = run_here(lake, CUTOVER_MS, exports=True)
    assert set(refs(lake)) == {"main", "gen_2026_11_15"}
    assert (report.extra["status"] == "published") == ("main" not in left)
    expected = naive.answers(counted(edges()), CUTOVER_MS)
    assert differences(ema_rows(lake), expected, FLOAT64) == []
    manifest = manifests.decode((directory / "manifest.json").read_bytes())
    stored = {str(path.relative_to(directory)) for path in directory.rglob("*.sst")}
    assert {file.path for file in manifest.files} <= stored
    assert manifest.entries == report.counts.get("entries", manifest.entries)
    assert run_here(lake, CUTOVER_MS, exports=True).extra["export"]["status"] == "already exported"


@pytest.mark.slow
def test_tag_missing_after_a_crash_is_set_by_the_next_date(tmp_path):
    """A scheduler may go on with next week: the week before must not lose its name."""
    lake = plain_lake(tmp_path / "home")
    later_ms = CUTOVER_MS + 7 * DAY_MS
    write_closed(lake, edges(), valid_through_ms=later_ms)
    fired = tmp_path / "fired"
    run_job(
        "batch.compact", lake.settings.home, "--logical-date", DATE,
        failpoint=f"after-fast-forward:kill:1:{fired}",
    )  # fmt: skip
    assert hits(fired) == 1
    compact.compact(Compacting(lake.settings, later_ms, start_run("compact")))
    assert set(refs(lake)) == {"main", "gen_2026_11_15", "gen_2026_11_22"}
    expected = naive.answers(counted(edges()), CUTOVER_MS)
    assert differences(ema_rows(lake, "gen_2026_11_15"), expected, FLOAT64) == []
