"""Export whose tasks and driver die: the manifest lists exactly the winning attempts' files."""

import json

import pytest

from batch import compact, export
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from impressions.formats import manifest as manifests
from impressions.process.failpoint import hits
from impressions.terminal.report import start_run
from tests.integration.conftest import new_lake
from tests.integration.jobs import run_job
from tests.integration.raw_events import CUTOVER_MS, DATE, write_closed, year

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(spark, tmp_path):
    """A published generation that is not exported yet, with rows in every shard."""
    lake = new_lake(tmp_path / "home")
    write_closed(lake, year(seed=13, profiles=20, per_profile=5))
    compact.compact(Compacting(lake.spark, lake.settings, CUTOVER_MS, start_run("compact")))
    return lake


def export_here(lake):
    return export.export(Exporting.of(lake.spark, lake.settings, CUTOVER_MS, start_run("export")))


@pytest.mark.slow
def test_failed_attempts_leave_only_unlisted_files(lake, tmp_path):
    """Two tasks die after their file was uploaded; Spark tries them again and they win."""
    fired = tmp_path / "fired"
    done = run_job(
        "batch.export", lake.settings.home, "--generation", DATE, "--json",
        failpoint=f"sst-uploaded:raise:2:{fired}", master="local[2,4]",
    )  # fmt: skip
    assert (done.returncode, hits(fired)) == (0, 2), done.stderr
    root = lake.settings.home / "generations" / DATE
    listed = {file.path for file in manifests.decode((root / "manifest.json").read_bytes()).files}
    stored = {str(path.relative_to(root)) for path in root.rglob("*.sst")}
    assert (len(listed), len(stored - listed)) == (4, 2)
    assert json.loads(done.stdout)["counts"]["files"] == 4
    # Packed again without a fault: the same digests, or this is refused.
    assert export_here(lake).extra["status"] == "already exported"


@pytest.mark.slow
def test_a_task_that_always_fails_leaves_no_manifest(lake, tmp_path):
    """As often as Spark tries; the error names the cause, and nothing counts as exported."""
    fired = tmp_path / "fired"
    done = run_job(
        "batch.export", lake.settings.home, "--generation", DATE, "--json",
        failpoint=f"sst-uploaded:raise:99:{fired}", master="local[1,2]",
    )  # fmt: skip
    error = json.loads(done.stdout)
    assert (done.returncode, error["reason"]) == (1, "export_failed")
    assert "InjectedFailure" in error["message"]
    assert hits(fired) >= 2
    assert not (lake.settings.home / "generations" / DATE / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.representative
def test_killed_before_the_manifest(lake, tmp_path):
    """All files are there and yet it is no generation; a second run makes it one."""
    fired = tmp_path / "fired"
    killed = run_job(
        "batch.export", lake.settings.home, "--generation", DATE,
        failpoint=f"before-manifest:kill:1:{fired}",
    )  # fmt: skip
    assert (killed.returncode, hits(fired)) == (-9, 1), killed.stderr
    root = lake.settings.home / "generations" / DATE
    assert len(list(root.rglob("*.sst"))) == 4
    assert not (root / "manifest.json").exists()
    assert export_here(lake).changed
    assert len(manifests.decode((root / "manifest.json").read_bytes()).files) == 4
