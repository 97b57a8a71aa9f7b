"""Flipped bits in data files on the way to a generation: an error with the file's name, exit 4."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from batch import compact, export
from batch.close import run_close
from batch.closing.request import Request
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from batch.spark.errors import rotten_files_named
from impressions.core.errors import CorruptData
from impressions.terminal.report import start_run
from tests.context import local_context
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, DATE, write_closed, year

pytestmark = [pytest.mark.spark, pytest.mark.slow]
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


@pytest.fixture
def published(empty: Lake) -> Lake:
    write_closed(empty, year(5, profiles=30))
    settings = empty.settings.model_copy(
        update={"audits": empty.settings.audits.model_copy(update={"sample_profiles": 0})}
    )
    lake = Lake(settings, empty.spark)
    compact.compact(Compacting(lake.spark, settings, CUTOVER_MS, start_run("compact")))
    return lake


def test_of_ema_none_reaches_a_generation(published: Lake) -> None:
    """Eight bits, each exported: refused by name, no manifest; the file restored, it goes on."""
    path, pick = largest(published, tables.EMA), random.Random(SEED)
    target = Path(published.settings.generations) / DATE / "manifest.json"

    def exporting() -> None:
        export.export(
            Exporting.of(published.spark, published.settings, CUTOVER_MS, start_run("export"))
        )

    for bit in pick.sample(pages(path, "dwell_s_hl_7d"), 8):
        whole = flip(path, bit)
        with pytest.raises(CorruptData) as refused, rotten_files_named(published.settings):
            exporting()
        assert path.name in refused.value.message, f"bit {bit}"
        assert not target.exists()
        path.write_bytes(whole)
    exporting()
    assert target.exists()


@pytest.mark.parametrize("by_spark", [True, False])
def test_of_raw_none_reaches_ema(empty: Lake, by_spark: bool) -> None:
    """Three bits in the largest file of raw, each compacted by Spark. Spark's own local files have
    a second file of checksums beside them; those of `land` and `close` have page checksums."""
    write_closed(empty, year(6, profiles=30))
    if not by_spark:
        run_close(local_context(empty.settings, "close"), Request(again=True))
    path, pick = largest(empty, tables.RAW), random.Random(SEED)
    for bit in pick.sample(pages(path, "dwell_s"), 3):
        whole = flip(path, bit)
        job = Compacting(empty.spark, empty.settings, CUTOVER_MS, start_run("compact"))
        with pytest.raises(CorruptData) as refused, rotten_files_named(empty.settings):
            compact.compact(job)
        assert path.name in refused.value.message, f"bit {bit}: {refused.value}"
        path.write_bytes(whole)
