"""Runs `impressions land` in this process, and looks at what it left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch.lake import snapshots, tables
from batch.lake.slot_states import SlotState, slot_states
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
    return table_id(lake, tables.RAW)


def table_id(lake: Lake, name: str) -> int | None:
    """Main's snapshot; None where there is no table, or no commit."""
    table = tables.find(lake.settings, name)
    return None if table is None else snapshots.main_id(table)


def states(lake: Lake) -> dict[int, SlotState]:
    return slot_states(tables.find(lake.settings, tables.RAW), raw_id(lake))


def rejected(lake: Lake) -> list[Any]:
    return lake.spark.table(tables.full_name(lake.settings, tables.REJECTED)).collect()


def one_row(**values: Any) -> dict[str, Any]:
    row = {
        "user": 1, "video": 2, "seen_at": START + 1, "arrived": START + 2, "batch": 7, "tab": 0,
        "place": 0, "opened": 0, "watched_ms": 0.0,
    }  # fmt: skip
    return row | values
