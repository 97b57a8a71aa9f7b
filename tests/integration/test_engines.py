"""What Python landed, other engines read: the queries that docs/querying.md shows.

Spark and pyiceberg read the table. DuckDB reads the files that pyiceberg names: its own Iceberg
extension is downloaded at run time, which a test does not do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.lake import snapshots, tables
from batch.lake.catalog import open_catalog
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from tests.context import local_context
from tests.integration.conftest import Lake
from tests.integration.history import logs, rows_of
from tests.lake.rows import bring_in, file_of

pytestmark = pytest.mark.spark

PAGE = Path(__file__).parents[2] / "docs" / "querying.md"


@pytest.fixture(scope="module")
def landed(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    path = file_of(tmp_path_factory.mktemp("files") / "e.parquet", rows_of(logs(41)))
    bring_in(lake.settings, path)
    run_close(local_context(lake.settings, "close"), Request(again=True))
    return lake


def shown(engine: str) -> str:
    """The block of the page under the heading of an engine."""
    found = re.search(rf"^## {engine}\n.*?```\w+\n(.*?)```", PAGE.read_text(), re.S | re.M)
    assert found is not None, engine
    return found[1]


def top_titles(lake: Lake) -> list[tuple[int, int]]:
    """(title, impressions that count), the most seen first: by plain Python over all rows."""
    table = tables.require(lake.settings, tables.RAW, hint="")
    counts: dict[int, int] = {}
    for row in table.scan().to_arrow().to_pylist():
        counts[row["title_id"]] = counts.get(row["title_id"], 0) + (not row["duplicate"])
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:3]


def test_spark(landed: Lake) -> None:
    found = landed.spark.sql(shown("Spark")).collect()
    assert [tuple(row) for row in found] == top_titles(landed)


def test_pyiceberg(landed: Lake) -> None:
    names: dict[str, Any] = {"catalog": open_catalog(landed.settings)}
    exec(shown("pyiceberg"), names)
    assert [tuple(row.values()) for row in names["top"].to_pylist()] == top_titles(landed)


def test_duckdb(landed: Lake) -> None:
    table = tables.require(landed.settings, tables.RAW, hint="")
    files = [str(local_path(f.path)) for f in live_files(table, snapshots.main_id(table))]
    query = re.sub(r"iceberg_scan\([^)]*\)", "read_parquet($files)", shown("DuckDB"))
    assert "read_parquet" in query
    query = query[query.index("SELECT") :]
    assert duckdb.execute(query, {"files": files}).fetchall() == top_titles(landed)


def test_the_page_names_trino_in_the_same_words() -> None:
    """Trino is not run here; its query differs from Spark's in the catalog's name only."""
    trino, spark = (shown(engine).split() for engine in ("Trino", "Spark"))
    assert [w for w in trino if w not in spark] == ["iceberg.impressions.raw"]
