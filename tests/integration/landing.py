"""Runs `impressions land` in this process, and looks at what it left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch import closing, snapshots, tables
from batch.land import command
from tests.integration.conftest import Lake
from tests.integration.history import MAPPING, START


def land(
    lake: Lake, capsys: pytest.CaptureFixture[str], *paths: str, **more: Any
) -> dict[str, Any]:
    """Runs the verb and returns its run report."""
    arguments: dict[str, Any] = {
        "map_": MAPPING, "mapping": None, "ingest_time": None, "valid_through": None,
        "dry_run": False,
    }  # fmt: skip
    capsys.readouterr()
    command(
        settings=lake.settings, from_files=list(paths), more=None, json=True, **(arguments | more)
    )
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def raw_id(lake: Lake) -> int | None:
    return snapshots.ref_snapshot_id(lake.spark, tables.full_name(lake.settings, tables.RAW))


def states(lake: Lake) -> dict[int, closing.SlotState]:
    return closing.slot_states(lake.spark, lake.settings, raw_id(lake))


def rejected(lake: Lake) -> list[Any]:
    return lake.spark.table(tables.full_name(lake.settings, tables.REJECTED)).collect()


def one_row(**values: Any) -> dict[str, Any]:
    row = {
        "user": 1, "video": 2, "seen_at": START + 1, "arrived": START + 2, "batch": 7, "tab": 0,
        "place": 0, "opened": 0, "watched_ms": 0.0,
    }  # fmt: skip
    return row | values
