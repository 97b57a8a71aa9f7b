"""Flipped bits in data files on the way to a generation: an error with the file's name, exit 4."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch import compact, export
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from impressions.core.errors import CorruptData
from impressions.core.spec import DAY_MS
from impressions.terminal.report import Outcome, start_run
from tests.integration.conftest import Lake, plain_lake
from tests.integration.raw_events import CUTOVER_MS, DATE, event, write_closed

SEED = 20261128


def pages(path: Path, column: str) -> range:
    """Bits of the pages of one column in a file's first row group: of their last quarter, which is
    values and no header."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    (chunk,) = [
        c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column
    ]
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    end = first + chunk.total_compressed_size
    return range((end - chunk.total_compressed_size // 4) * 8, end * 8)


def flip(path: Path, bit: int) -> bytes:
    """Flips one bit, and returns the file as it was."""
    whole = path.read_bytes()
    path.write_bytes(
        whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :]
    )
    return whole


def largest(lake: Lake, table: str) -> Path:
    """The largest data file of a table."""
    found = tables.find(lake.settings, table)
    files = live_files(found, snapshots.main_id(found))
    path = local_path(max(files, key=lambda f: f.data.file_size_in_bytes).path)
    assert path is not None
    return path


def few(seed: int) -> list[Any]:
    """Events of 30 profiles in two slots."""
    pick, ms = random.Random(seed), CUTOVER_MS - DAY_MS
    return [
        (profile, event(title, ms - day * DAY_MS, title % 5 == 0, pick.random()), ms - day * DAY_MS)
        for profile in range(30)
        for title in range(20)
        for day in (0, 1)
    ]


@pytest.fixture
def published(tmp_path: Path) -> Lake:
    lake: Lake = plain_lake(tmp_path)
    write_closed(lake, few(5))
    compact.compact(Compacting(lake.settings, CUTOVER_MS, start_run("compact")))
    return lake


def test_of_ema_none_reaches_a_generation(published: Lake) -> None:
    """Eight bits, each exported: refused by name, no manifest; the file restored, it goes on."""
    path, pick = largest(published, tables.EMA), random.Random(SEED)
    target = Path(published.settings.generations) / DATE / "manifest.json"

    def exporting() -> None:
        export.export(Exporting.of(published.settings, CUTOVER_MS, start_run("export")))

    for bit in pick.sample(pages(path, "dwell_s_hl_7d"), 8):
        whole = flip(path, bit)
        with pytest.raises(CorruptData) as refused:
            exporting()
        assert path.name in refused.value.message, f"bit {bit}"
        assert not target.exists()
        path.write_bytes(whole)
    exporting()
    assert target.exists()


def test_of_raw_none_reaches_ema(tmp_path: Path) -> None:
    """Eight bits in the largest file of raw, each compacted: refused by name, and nothing on main;
    the file restored, it goes on."""
    lake = plain_lake(tmp_path)
    write_closed(lake, few(6))
    path, pick = largest(lake, tables.RAW), random.Random(SEED)

    def compacting() -> Outcome:
        return compact.compact(Compacting(lake.settings, CUTOVER_MS, start_run("compact")))

    for bit in pick.sample(pages(path, "dwell_s"), 8):
        whole = flip(path, bit)
        with pytest.raises(CorruptData) as refused:
            compacting()
        assert path.name in refused.value.message, f"bit {bit}: {refused.value}"
        ema = tables.find(lake.settings, tables.EMA)
        assert ema is not None
        assert snapshots.refs(ema) == {}
        path.write_bytes(whole)
    assert compacting().changed
