"""Small imports in a warehouse of their own, without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from batch.importing.job import Import
from batch.importing.run import run_import
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import LiveFile, live_files
from batch.mapping.grammar import read_mapping
from impressions.clock import Clock, now_ms
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, Run, start_run
from tests.integration.history import MAPPING, write_parquet


def bring_in(
    settings: Settings, *paths: str, flags: Sequence[str] = tuple(MAPPING), clock: Clock = now_ms,
    **more: Any,
) -> Outcome:  # fmt: skip
    """One import."""
    mapping = read_mapping(list(flags), None, more.pop("ingest_time", None))
    this: Run = more.pop("run", None) or start_run("land")
    runner = more.pop("runner", None) or Runner()
    return run_import(Import(settings, this, runner, clock, paths, mapping, **more))


def file_of(path: Path, rows: list[dict[str, Any]]) -> str:
    return write_parquet(path, rows)


def files(settings: Settings, name: str = tables.RAW) -> list[LiveFile]:
    table = tables.require(settings, name, hint="")
    return live_files(table, snapshots.main_id(table))


def rows(settings: Settings, name: str = tables.RAW) -> list[dict[str, Any]]:
    """All rows of a table."""
    table = tables.require(settings, name, hint="")
    columns = list(tables.columns_of(name, settings.spec))
    found = [
        r for f in files(settings, name) for r in rows_of(f, table.io, table.schema(), columns)
    ]
    return pa.concat_tables(found, promote_options="permissive").to_pylist() if found else []


def through_ms(settings: Settings) -> int | None:
    return snapshots.state(tables.require(settings, tables.RAW, hint="")).valid_through_ms
