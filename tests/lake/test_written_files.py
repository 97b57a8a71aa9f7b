"""Data files are what readers expect: order, ids, bounds, counts, codec, checksums, sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.lake import locations, tables
from batch.lake.columns import RAW_COLUMNS
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import bound
from batch.lake.slot_states import nulls
from impressions.core.errors import CorruptData
from impressions.settings.model import Settings
from tests.integration.history import DAY, START
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of, files


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", partitions=1)


def test_an_entry_says_bounds_nulls_partition_and_order(settings: Settings, tmp_path: Path) -> None:
    """Of a file with two rows of profile 1: titles 2 and 9, the source uncut."""
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row(), one_row(video=9, batch=8)]))
    table = tables.require(settings, tables.RAW, hint="")
    (file,) = files(settings)
    title = [bound(table, file.data, "title_id", upper=upper) for upper in (False, True)]
    source = [bound(table, file.data, "source", upper=upper) for upper in (False, True)]
    assert title == [2, 9]
    assert source[0] == source[1]
    assert len(source[0]) == len("file:") + 16
    assert (nulls(table, file.data, "duplicate"), nulls(table, file.data, "row")) == (0, 2)
    assert (file.slot_ms, file.shards) == (START, (0, 1))
    assert file.data.sort_order_id == table.metadata.default_sort_order_id == 1
    order = [table.schema().find_column_name(f.source_id) for f in table.sort_order().fields]
    assert order == ["shard", "profile_id", "title_id", "event_time"]


def test_a_file_has_field_ids_the_tables_codec_and_no_foreign_schema(
    settings: Settings, tmp_path: Path
) -> None:
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row()]))
    table = tables.require(settings, tables.RAW, hint="")
    (file,) = files(settings)
    parquet = pq.ParquetFile(locations.local_path(file.path))
    ids = {f.name: int(f.metadata[b"PARQUET:field_id"]) for f in parquet.schema_arrow}
    assert ids == {f.name: f.field_id for f in table.schema().fields}
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
    assert parquet.schema_arrow.metadata is None
    assert parquet.schema_arrow.field("event_time").type == pa.timestamp("us", "UTC")


def test_a_flipped_bit_of_any_page_is_an_error_with_the_files_name(
    settings: Settings, tmp_path: Path
) -> None:
    """Never another number; 200 bits of the pages, seed 7."""
    many = [one_row(video=n, batch=n, watched_ms=float(n * 17 % 999)) for n in range(400)]
    bring_in(settings, file_of(tmp_path / "e.parquet", many))
    table = tables.require(settings, tables.RAW, hint="")
    (file,) = files(settings)
    path, columns = locations.local_path(file.path), list(RAW_COLUMNS)

    def read() -> pa.Table:
        pieces = list(rows_of(file, table.io, table.schema(), columns))
        return pa.concat_tables(pieces, promote_options="permissive")

    whole, good = path.read_bytes(), read()
    end = int.from_bytes(whole[-8:-4], "little")
    rng, refused = np.random.default_rng(7), 0
    for bit in rng.integers(4 * 8, (len(whole) - 8 - end) * 8, 200).tolist():
        path.write_bytes(whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8])
                         + whole[bit // 8 + 1 :])  # fmt: skip
        found = outcome(read)
        assert found == file.path or good.equals(found), f"bit {bit}: other rows"
        refused += found == file.path
    assert refused > 150


def outcome(read: Callable[[], pa.Table]) -> pa.Table | str:
    """What was read, or the file that an error names."""
    try:
        return read()
    except CorruptData as error:
        return error.message.partition(": ")[0]


def test_files_are_bounded_in_size_and_follow_each_other(settings: Settings) -> None:
    """A million rows of 16 bytes, a bound of 1 MiB: a row group each, ascending."""
    (table,) = tables.create_if_missing(settings, tables.RAW)
    with table.transaction() as change:
        change.set_properties({"write.target-file-size-bytes": str(1 << 20)})
    rng, n = np.random.default_rng(1), 1_000_000
    rows = pa.table(
        {
            "ingest_slot": pa.array([START * 1000] * n, pa.timestamp("us", "UTC")),
            "profile_id": np.sort(rng.integers(0, 1 << 60, n)),
            "title_id": rng.integers(0, 1 << 50, n),
        }
    )
    made = write(target_of(table), {"ingest_slot": START * 1000}, rows)
    assert len(made) == 16
    assert max(file.file_size_in_bytes for file in made) < 1.2 * (1 << 20)
    assert sum(file.record_count for file in made) == n
    firsts = [bound(table, file, "profile_id", upper=False) for file in made]
    assert firsts == sorted(firsts)


def test_late_rows_have_files_of_their_own(settings: Settings, tmp_path: Path) -> None:
    """One event of 40 days ago leaves the bounds of the recent ones as they are."""
    late = one_row(seen_at=START - 40 * DAY, batch=8)
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row(), late]))
    table = tables.require(settings, tables.RAW, hint="")
    oldest = sorted(
        bound(table, f.data, "event_time", upper=False) // 1000 for f in files(settings)
    )
    assert oldest == [START - 40 * DAY, START + 1]


def test_a_files_own_columns_say_its_partition(tmp_path: Path) -> None:
    """Of an import of three days and four shards, a file a day: other engines read the columns, and
    write rows to the partition that they name."""
    settings = Settings(home=tmp_path / "home", partitions=4)
    several = [one_row(user=n, batch=n, arrived=START + n % 3 * DAY) for n in range(40)]
    bring_in(settings, file_of(tmp_path / "e.parquet", several))
    assert len(files(settings)) == 3
    for file in files(settings):
        own = pq.ParquetFile(locations.local_path(file.path)).read(["ingest_slot", "shard"])
        assert set(own["ingest_slot"].cast(pa.int64()).to_pylist()) == {file.slot_ms * 1000}
        shards = own["shard"].to_pylist()
        assert (min(shards), max(shards) + 1) == file.shards == (0, 4)
