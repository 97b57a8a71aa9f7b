"""Export whose tasks and driver die: the manifest lists files of whole runs only."""

import json

import pytest

from batch import compact, export
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from impressions.formats import manifest as manifests
from impressions.process.failpoint import hits
from impressions.terminal.report import start_run
from tests.integration.conftest import plain_lake
from tests.integration.jobs import run_job
from tests.integration.raw_events import CUTOVER_MS, DATE, edges, event, write_closed


@pytest.fixture
def lake(tmp_path):
    """A published generation that is not exported yet, with rows in every shard."""
    lake, ms = plain_lake(tmp_path / "home"), CUTOVER_MS - 1
    write_closed(lake, [*edges(), *((profile, event(1, ms), ms) for profile in range(100, 140))])
    compact.compact(Compacting(lake.settings, CUTOVER_MS, start_run("compact")))
    return lake


def export_here(lake):
    return export.export(Exporting.of(lake.settings, CUTOVER_MS, start_run("export")))


def test_a_task_that_fails_leaves_no_manifest(lake, tmp_path):
    """The error names the cause, nothing counts as exported, and the next run is whole."""
    fired = tmp_path / "fired"
    done = run_job(
        "batch.export", lake.settings.home, "--generation", DATE, "--json",
        failpoint=f"sst-uploaded:raise:1:{fired}",
    )  # fmt: skip
    error = json.loads(done.stdout)
    assert (done.returncode, error["reason"]) == (1, "export_failed")
    assert "InjectedFailure" in error["message"]
    assert hits(fired) == 1
    root = lake.settings.home / "generations" / DATE
    assert not (root / "manifest.json").exists()
    assert export_here(lake).changed
    listed = {file.path for file in manifests.decode((root / "manifest.json").read_bytes()).files}
    stored = {str(path.relative_to(root)) for path in root.rglob("*.sst")}
    assert len(listed) == 4
    assert listed < stored
    # Packed again without a fault: the same digests, or this is refused.
    assert export_here(lake).extra["status"] == "already exported"


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
