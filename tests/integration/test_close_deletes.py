"""Row-level deletes of other engines: close applies them, compact names them, nothing runs in a
circle."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.close import run_close
from batch.closing.request import Request
from batch.compact import compact
from batch.compacting.job import Compacting
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.slot_states import slot_states
from impressions.core.errors import NotReady
from impressions.terminal.report import Outcome, start_run
from tests.context import local_context
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, event, write_closed

pytestmark = pytest.mark.spark

HOUR = 3_600_000
NAME = "lake.impressions.raw"


def merge_on_read(lake: Lake, version: int) -> None:
    """From now on Spark's DELETE writes delete files (2) or deletion vectors (3)."""
    lake.spark.sql(
        f"ALTER TABLE {NAME} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read', "
        f"'format-version' = '{version}')"
    )


def close(lake: Lake) -> Outcome:
    return run_close(local_context(lake.settings, "close"), Request())


def titles(lake: Lake) -> list[int]:
    """What Spark reads."""
    return sorted(row[0] for row in lake.spark.table(NAME).select("title_id").collect())


def with_deletes(lake: Lake) -> int:
    """Files that have deletes to be applied."""
    table = tables.find(lake.settings, tables.RAW)
    return sum(bool(f.deletes) for f in live_files(table, snapshots.main_id(table)))


@pytest.fixture
def closed(empty: Lake) -> Lake:
    """Titles 1 to 5 of one profile and 6 to 10 of another, in one file of a closed slot."""
    return filled(empty)


@pytest.fixture
def closed_by_shard(empty: Lake) -> Lake:
    """The same in two files, as an earlier version left them."""
    return filled(empty, old=True)


def filled(lake: Lake, *, old: bool = False) -> Lake:
    at = CUTOVER_MS - HOUR
    write_closed(lake, [(7 if t < 6 else 1, event(t, at), at) for t in range(1, 11)], old=old)
    return lake


@pytest.mark.parametrize("version", [2, 3])
def test_rows_that_spark_deleted_are_gone_for_good(closed: Lake, version: int) -> None:
    """Compact refuses and names close; close applies them once, and then finds nothing to do."""
    merge_on_read(closed, version)
    closed.spark.sql(f"DELETE FROM {NAME} WHERE title_id IN (2, 9)")
    assert with_deletes(closed) == 1, "the engine did write deletes"
    with pytest.raises(NotReady) as refused:
        compact(Compacting(closed.settings, CUTOVER_MS, start_run("compact")))
    assert (refused.value.reason, refused.value.hint) == ("open_slots", "impressions close")
    assert close(closed).counts["rows"] == 8
    assert titles(closed) == [1, 3, 4, 5, 6, 7, 8, 10]
    assert with_deletes(closed) == 0
    assert not close(closed).changed
    settings = closed.settings.model_copy(
        update={"audits": closed.settings.audits.model_copy(update={"sample_profiles": 0})}
    )
    report = compact(Compacting(settings, CUTOVER_MS, start_run("compact")))
    assert report.extra["totals"]["impressions"] == 8


@pytest.mark.slow
@pytest.mark.parametrize("version", [2, 3])
def test_a_table_goes_on_after_a_close_with_deletes(closed: Lake, version: int) -> None:
    """Spark appends and deletes again, close closes again: row ids of version 3 stay unique."""
    merge_on_read(closed, version)
    for round_, gone in enumerate((3, 21), start=1):
        closed.spark.sql(f"DELETE FROM {NAME} WHERE title_id = {gone}")
        close(closed)
        new = [(8, event(20 + round_, CUTOVER_MS - HOUR), CUTOVER_MS - HOUR)]
        write_closed(closed, new)
    assert titles(closed) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 22]
    if version == 3:
        ids = [r[0] for r in closed.spark.sql(f"SELECT _row_id FROM {NAME}").collect()]
        assert len(set(ids)) == len(ids) == 10


def test_equality_deletes_are_applied(closed_by_shard: Lake) -> None:
    """As Flink writes them: a file of values of two columns, of which a row must have both. Only
    rows of its partition and from before it."""
    add_equality_delete(closed_by_shard, {"title_id": [2, 4, 9], "location": [0, 5, 0]}, shard=3)
    assert with_deletes(closed_by_shard) == 1
    assert close(closed_by_shard).counts["rows"] == 9
    assert titles(closed_by_shard) == [1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert not close(closed_by_shard).changed


def test_equality_deletes_of_no_partition_are_applied_to_all(closed_by_shard: Lake) -> None:
    """What an engine writes while the table has a spec without partitions; rows of both shards."""
    fields = [f.name for f in tables.find(closed_by_shard.settings, tables.RAW).spec().fields]
    for name in fields:
        closed_by_shard.spark.sql(f"ALTER TABLE {NAME} DROP PARTITION FIELD {name}")
    add_equality_delete(closed_by_shard, {"title_id": [2, 9]}, shard=None)
    for name in fields:
        closed_by_shard.spark.sql(f"ALTER TABLE {NAME} ADD PARTITION FIELD {name}")
    assert with_deletes(closed_by_shard) == 2
    assert close(closed_by_shard).counts["rows"] == 8
    assert titles(closed_by_shard) == [1, 3, 4, 5, 6, 7, 8, 10]


def add_equality_delete(lake: Lake, values: dict[str, list[int]], shard: int | None) -> None:
    """Commits a file of equality deletes through Iceberg's Java, the way an engine does; without a
    shard it is of no partition."""
    table = tables.find(lake.settings, tables.RAW)
    path = lake.settings.home_dir / "equality.parquet"
    fields = [table.schema().find_field(name) for name in values]
    schema = pa.schema(
        pa.field(f.name, pa.int64() if f.name.endswith("_id") else pa.int32(), True,
                 {"PARQUET:field_id": str(f.field_id)})
        for f in fields
    )  # fmt: skip
    pq.write_table(pa.table(values, schema=schema), path)
    jvm = lake.spark._jvm
    java = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(lake.spark._jsparkSession, NAME)
    ids = lake.spark.sparkContext._gateway.new_array(jvm.int, len(fields))
    for i, field in enumerate(fields):
        ids[i] = field.field_id
    tasks = java.newScan().planFiles().iterator()
    files = []
    while tasks.hasNext():
        files.append(tasks.next().file())
    of_shard = [file for file in files if f"shard={shard}/" in file.path()]
    builder = (
        jvm.org.apache.iceberg.FileMetadata.deleteFileBuilder(java.spec())
        .ofEqualityDeletes(ids)
        .withPath(f"file://{path}")
        .withFormat(jvm.org.apache.iceberg.FileFormat.PARQUET)
        .withFileSizeInBytes(path.stat().st_size)
        .withRecordCount(len(next(iter(values.values()))))
    )
    if shard is not None:
        (data,) = of_shard
        builder = builder.withPartition(data.partition())
    java.newRowDelta().addDeletes(builder.build()).commit()


def test_a_slot_with_deletes_says_so(closed: Lake) -> None:
    merge_on_read(closed, 2)
    closed.spark.sql(f"DELETE FROM {NAME} WHERE title_id = 4")
    table = tables.find(closed.settings, tables.RAW)
    (state,) = slot_states(table, snapshots.main_id(table)).values()
    assert (state.rows, state.has_deletes, state.closed) == (10, True, False)
