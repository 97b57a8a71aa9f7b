"""A warehouse in an object store: written and read through pyiceberg's FileIO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.housekeeping import removed as report
from batch.housekeeping.run import run
from batch.importing.forget import Forgetting, forget
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import snapshots, stored_files, tables
from batch.lake.needed_files import NeededFiles, key_of
from impressions.clock import now_ms
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from tests.integration.history import logs, rows_of
from tests.lake.rows import bring_in, file_of, files, rows


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint: str, tmp_path: Path) -> Settings:
    """A bucket of its own; the catalog is a local file."""
    from pyarrow.fs import S3FileSystem

    bucket = f"lake-{abs(hash(tmp_path)) % 10**9}"
    s3 = S3FileSystem(
        access_key="a", secret_key="b", endpoint_override=endpoint, region="us-east-1",
        allow_bucket_creation=True,
    )  # fmt: skip
    s3.create_dir(bucket)
    properties = {
        "s3.endpoint": endpoint, "s3.access-key-id": "a", "s3.secret-access-key": "b",
        "s3.region": "us-east-1",
    }  # fmt: skip
    catalog = {"warehouse": f"s3://{bucket}/warehouse", "python_properties": properties}
    return Settings(home=tmp_path / "home", partitions=2, catalog=catalog)


def test_an_import_a_close_and_a_forgetting(settings: Settings, tmp_path: Path) -> None:
    """The same rows as on a local warehouse; every file is in the bucket."""
    made = rows_of(logs(51, n=60, days=2))
    path = file_of(tmp_path / "e.parquet", made)
    here = Settings(home=tmp_path / "here", partitions=2)
    assert bring_in(settings, path).counts == bring_in(here, path).counts
    assert {file.path.partition("://")[0] for file in files(settings)} == {"s3"}
    context = Context(settings, start_run("close"), Runner(), now_ms)
    report = run_close(context, Request(again=True))
    assert report.counts["rows"] == len(rows(settings)) == len(rows(here))
    forget(Forgetting(settings, start_run("forget"), Runner(), now_ms, [path]))
    assert rows(settings) == []
    assert rows(settings, tables.REJECTED) == []


def test_housekeeping_of_a_bucket(settings: Settings, tmp_path: Path) -> None:
    """Files of a snapshot that is gone and of a dead attempt; all that is named is there."""
    names = [file_of(tmp_path / f"{n}.parquet", rows_of(logs(n, n=20, days=1))) for n in (1, 2)]
    bring_in(settings, names[0])
    raw = tables.require(settings, tables.RAW, hint="")
    dead = f"{raw.location()}/data/dead.parquet"
    with raw.io.new_output(dead).create() as stream:
        stream.write(b"dead")
    bring_in(settings, names[1])
    held = rows(settings)
    at_once = {"keep_snapshots_days": 0, "orphan_days": 0}
    section = settings.housekeeping.model_copy(update=at_once)
    chosen = settings.model_copy(update={"housekeeping": section})
    done = run(Context(chosen, start_run("housekeeping"), Runner(), now_ms))
    found = {(one["rule"], one["where"]): one["count"] for one in done.extra["removed"]}
    assert found[report.SNAPSHOTS, "raw"] == 1
    assert found[report.FREED, "raw"] >= 2
    assert found[report.ORPHANS, "raw"] == 1
    assert rows(settings) == held
    raw = tables.require(settings, tables.RAW, hint="")
    there = {file.key for file in stored_files.listed(raw) or ()}
    assert key_of(dead) not in there
    assert NeededFiles().of(raw, snapshots.by_id(raw).keys()) <= there
