"""A warehouse in an object store: written and read through pyiceberg's FileIO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.importing.forget import Forgetting, forget
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import tables
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
