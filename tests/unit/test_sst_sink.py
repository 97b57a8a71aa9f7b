"""What a task of the export packs: a shard's files by number, or rows that Spark hands over."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.exporting.sst_input import DataFile, ShardFiles, by_shard
from batch.exporting.sst_sink import Plan, packed_shard
from impressions.core.errors import Refused
from impressions.core.item import profile_of_key
from impressions.core.shard import shard_of
from tests.unit.test_packing import CUTOVER_MS, SPEC, random_keys, table

PARTITIONS = 4


def plan_of(shards, storage=None):
    return Plan(
        "", "", CUTOVER_MS, SPEC.slot_ms, SPEC.fingerprint, PARTITIONS, "run", 1 << 20, False,
        shards, storage or {},
    )  # fmt: skip


def rows_of_shard(shard):
    """Sorted as blocks want it, with the shard as a column."""
    keys = [key for key in random_keys(seed=5) if shard_of(key[0], PARTITIONS) == shard]
    rows = table(keys)
    return rows.append_column("shard", pa.array([shard] * rows.num_rows, pa.int32()))


def numbers(*places):
    return [pa.record_batch({"id": pa.array([place], pa.int64())}) for place in places]


def file_of(rows, path):
    """As `compact` writes it: the tail day is the last of the sort keys."""
    keys = [(name, "ascending") for name in ("profile_id", "title_id", "location", "tail_day")]
    pq.write_table(rows.sort_by(keys), path)
    return str(path)


def test_files_and_rows_give_the_same_blocks(tmp_path):
    """Digests of a generation do not tell who read it."""
    rows = rows_of_shard(2)
    straight = plan_of([ShardFiles(3, []), ShardFiles(2, [file_of(rows, tmp_path / "2.parquet")])])
    shard, packed = packed_shard(numbers(1), straight)
    other, by_spark = packed_shard(rows.to_batches(max_chunksize=7), plan_of(None))
    found = list(packed)
    assert (shard, other, found) == (2, 2, list(by_spark))
    assert {profile_of_key(one.key) for one in found} == set(rows["profile_id"].to_pylist())


def test_rows_of_another_shard_are_refused(tmp_path):
    rows = rows_of_shard(2)
    files = [ShardFiles(1, [file_of(rows, tmp_path / "1.parquet")])]
    at = rows.column_names.index("shard")
    moved = rows.set_column(at, "shard", pa.array([1] * rows.num_rows, pa.int32()))
    for _, packed in (
        packed_shard(numbers(0), plan_of(files)),
        packed_shard(moved.to_batches(), plan_of(None)),
    ):
        with pytest.raises(Refused, match=r"is not of shard 1 of 4"):
            list(packed)


def test_a_task_without_input_has_no_rows():
    shard, packed = packed_shard(numbers()[:0], plan_of([]))
    assert (shard, list(packed)) == (0, [])


def test_a_plan_travels_as_text():
    for plan in (plan_of(None), plan_of([ShardFiles(1, ["a"])], {"s3.region": "r"})):
        assert Plan.decode(plan.encode()) == plan


def test_large_shards_come_first_and_empty_ones_not_at_all():
    one = DataFile(0, "b", 5, 0, "PARQUET", 1)
    files = [
        one, replace(one, path="a", rows=3), replace(one, shard=1, path="c", rows=9),
        replace(one, shard=2, path="d", rows=0), replace(one, shard=3, path="e", rows=8),
    ]  # fmt: skip
    assert by_shard(files) == [
        ShardFiles(1, ["c"]), ShardFiles(0, ["a", "b"]), ShardFiles(3, ["e"]),
    ]  # fmt: skip
