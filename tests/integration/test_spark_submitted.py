"""`spark-submit batch/land.py` and `batch/close.py`: the same code in tasks of a cluster.

`local-cluster` starts a master and two workers as processes of their own: nothing of the driver's
memory is there in a task, whatever it gets was pickled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import batch
from batch.compact import compact
from batch.compacting.job import Compacting
from batch.jobs.tasks import Runner
from batch.lake import tables
from batch.lake.slot_states import slot_states
from impressions.clock import now_ms
from impressions.formats import manifest as manifests
from impressions.jvm.java import find_java
from impressions.process.failpoint import VARIABLE, hits
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from oracle import naive
from tests.broker import TestBroker
from tests.integration.conftest import plain_lake
from tests.integration.history import MAPPING, logs, rows_of
from tests.integration.live import arrived, expected_raw, send_bytes, wire
from tests.integration.live import logs as live_logs
from tests.integration.raw_events import CUTOVER_MS, DATE, edges, ema_rows, write_closed
from tests.lake.rows import bring_in, file_of, rows

pytestmark = pytest.mark.spark

ROOT = Path(batch.__file__).parent.parent


def submitted(
    verb: str, settings: Settings, *flags: str, failpoint: str | None = None
) -> dict[str, Any]:
    """Runs a verb on two workers of one core each; returns its run report."""
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    sets = [
        part
        for key, value in flat(chosen)
        for part in ("--set", f"{key}={value}")
    ]  # fmt: skip
    environment = os.environ | {
        "JAVA_HOME": str(find_java().home),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    } | ({VARIABLE: failpoint} if failpoint else {})  # fmt: skip
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("spark-submit")), "--master",
         "local-cluster[2,1,1024]", "--conf", "spark.ui.enabled=false",
         str(ROOT / "batch" / f"{verb}.py"), "--json", *flags, *sets],
        capture_output=True, text=True, timeout=800, env=environment, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    report: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return report


def flat(chosen: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in chosen.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def comparable(settings: Settings) -> list[tuple[Any, ...]]:
    names = ("profile_id", "title_id", "event_time", "ingest_time", "log_id", "log_index",
             "duplicate", "dwell_s")  # fmt: skip
    return sorted(tuple(row[name] for name in names) for row in rows(settings))


@pytest.mark.slow
def test_an_import_on_a_cluster_is_the_import_of_one_process(tmp_path: Path) -> None:
    """Two files that share logs and slots; seed 31."""
    paths = [file_of(tmp_path / f"{n}.parquet", rows_of(logs(31))[n::2]) for n in range(2)]
    alone = Settings(home=tmp_path / "alone", partitions=4)
    expected = bring_in(alone, *paths).counts
    cluster = Settings(home=tmp_path / "cluster", partitions=4)
    mapped = [part for pair in MAPPING for part in ("--map", pair)]
    report = submitted("land", cluster, "--from-files", paths[0], "--from-files", paths[1], *mapped)
    assert report["counts"] == expected
    assert comparable(cluster) == comparable(alone)
    assert list((tmp_path / "cluster" / "warehouse").rglob("staging/*/*")) == []


@pytest.mark.slow
def test_a_generation_is_computed_and_exported_on_a_cluster(tmp_path: Path) -> None:
    """Two tasks die after their file was uploaded; Spark tries them again, and the manifest lists
    the files of the attempts that won. The rows are those of one process."""
    lakes = [plain_lake(tmp_path / name) for name in ("alone", "cluster")]
    for lake in lakes:
        write_closed(lake, edges())
    alone, cluster = lakes
    compact(Compacting(alone.settings, CUTOVER_MS, start_run("compact")))
    fired = tmp_path / "fired"
    report = submitted(
        "compact", cluster.settings, "--logical-date", DATE, "--export",
        failpoint=f"sst-uploaded:raise:2:{fired}",
    )  # fmt: skip
    assert (report["status"], report["export"]["status"]) == ("published", "written")
    assert hits(fired) == 2
    assert ema_rows(cluster) == ema_rows(alone)
    directory = cluster.settings.home_dir / "generations" / DATE
    manifest = manifests.decode((directory / "manifest.json").read_bytes())
    stored = {str(path.relative_to(directory)) for path in directory.rglob("*.sst")}
    listed = {file.path for file in manifest.files}
    assert listed < stored
    assert submitted("export", cluster.settings, "--generation", DATE)["status"] == (
        "already exported"
    )


@pytest.mark.slow
@pytest.mark.kafka
def test_a_topic_is_landed_and_closed_on_a_cluster(tmp_path: Path, broker: TestBroker) -> None:
    """Every partition by a task, every (slot, shard) by a task; the oracle counts the same."""
    from impressions.core.shard import shard_of
    from impressions.v1.impression_record_pb2 import ImpressionRecord
    from tests.broker import stream_settings

    settings = stream_settings(
        tmp_path / "home", broker, partitions=4, slot_seconds=1, land={"clock_margin_s": 0}
    )
    values = [
        (shard_of(log[0], 4), ImpressionRecord(logs=[wire(log)]).SerializeToString())
        for log in live_logs(1, 60)
    ]
    send_bytes(settings, values)
    edge_ms = now_ms() + 1500
    while submitted_through(settings) < edge_ms:
        pass
    sent = arrived(settings)
    found = [
        (r["profile_id"], r["title_id"], r["location"], ms(r["event_time"]), ms(r["ingest_time"]),
         int(r["played"]), r["dwell_s"])
        for r in rows(settings)
    ]  # fmt: skip
    assert sorted(found) == sorted(expected_raw(sent).elements())
    report = submitted("close", settings)
    assert report["counts"]["rows"] == len(found)
    table = tables.require(settings, tables.RAW, hint="")
    states = slot_states(table, report["snapshots"]["raw"])
    assert all(state.closed for state in states.values())
    counted = sum(not row["duplicate"] for row in rows(settings))
    assert counted == len(naive.accept(sent, 1000)[0])


def submitted_through(settings: Settings) -> int:
    return int(submitted("land", settings)["valid_through_ms"])


def ms(moment: Any) -> int:
    return round(moment.timestamp() * 1000)


def test_threads_by_default() -> None:
    """Only a submission brings a cluster."""
    assert Runner().is_local
