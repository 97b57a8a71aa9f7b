"""What a task of the export packs: the files of a shard, read by themselves."""

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from batch.exporting import shards, sst_files
from batch.exporting.shards import Shard, by_shard, pack_shard
from batch.exporting.sst_files import Packing
from batch.jobs.same_spec import SpecOf
from impressions.core.errors import Refused
from impressions.core.shard import shard_of
from tests.unit.test_packing import CUTOVER_MS, SPEC, packed, random_keys, table

PARTITIONS = 4


def rows_of_shard(shard):
    return table([key for key in random_keys(seed=5) if shard_of(key[0], PARTITIONS) == shard])


def file_of(rows, path, shard=2, kind="PARQUET"):
    """As `compact` writes it: the tail day is the last of the sort keys."""
    keys = [(name, "ascending") for name in ("profile_id", "title_id", "location", "tail_day")]
    pq.write_table(rows.sort_by(keys), path)
    data = SimpleNamespace(record_count=rows.num_rows, file_format=kind)
    return SimpleNamespace(path=str(path), data=data, deletes=(), partition={"shard": shard})


def task_of(files, shard=2, **fields):
    packing = Packing("", "run", CUTOVER_MS, 1 << 20, upload=False, **fields)
    target = SimpleNamespace(io_properties={})
    return Shard(shard, PARTITIONS, tuple(files), target, SpecOf.of(SPEC), packing)


def test_the_blocks_of_a_shard_are_those_of_its_rows(tmp_path):
    """However they lie in files."""
    rows = rows_of_shard(2)
    half = rows.num_rows // 2
    one = pack_shard(task_of([file_of(rows, tmp_path / "1.parquet")]))
    two = pack_shard(
        task_of(
            file_of(part, tmp_path / f"{i}.parquet")
            for i, part in enumerate((rows.slice(0, half), rows.slice(half)))
        )
    )
    assert one.entries == two.entries == rows.num_rows
    assert [f.digest for f in one.files] == [f.digest for f in two.files]
    assert sum(file.rows for file in one.files) == len(packed(rows))


def test_files_begin_where_they_are_told_to(tmp_path):
    """The cuts of an export that is there, whatever made them."""
    rows = rows_of_shard(2)
    keys = [one.key.hex() for one in packed(rows)]
    file = file_of(rows, tmp_path / "1.parquet")
    found = pack_shard(task_of([file], begins=frozenset((keys[0], keys[3], keys[4]))))
    assert [f.min_key for f in found.files] == [keys[0], keys[3], keys[4]]
    assert found.files[1].rows == 1


def test_rows_of_another_shard_are_refused(tmp_path):
    with pytest.raises(Refused, match=r"is not of shard 1 of 4"):
        pack_shard(task_of([file_of(rows_of_shard(2), tmp_path / "1.parquet")], shard=1))


def test_a_task_without_files_has_no_rows():
    assert pack_shard(task_of([])).files == ()


def test_attempts_have_names_of_their_own(tmp_path):
    """The same task twice, of one run: neither writes over the other's files."""
    packing = Packing(str(tmp_path), "run", CUTOVER_MS, 1 << 20)
    names = set()
    for _ in range(2):
        with sst_files.files_of(packing, 2) as files:
            files.add(packed(rows_of_shard(2))[0])
            files.close()
            names.add(files.done[0].path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.sst")} == names
    assert len(names) == 2


def test_large_shards_come_first_and_empty_ones_not_at_all(tmp_path):
    """A file that is no Parquet is refused, by name."""

    def file(shard, name, rows, kind="PARQUET"):
        data = SimpleNamespace(record_count=rows, file_format=kind)
        return SimpleNamespace(path=name, data=data, deletes=(), partition={"shard": shard})

    files = [file(0, "b", 5), file(0, "a", 3), file(1, "c", 9), file(2, "d", 0), file(3, "e", 8)]
    found = by_shard(files)
    assert list(found) == [1, 0, 3]
    assert [f.path for f in found[0]] == ["a", "b"]
    with pytest.raises(Refused, match="x is ORC, expected PARQUET"):
        by_shard([file(0, "x", 1, "ORC")])


def test_a_shard_whose_rows_are_all_deleted_has_none(tmp_path, monkeypatch):
    """By somebody's own DELETE: its file is there, and deletes of all of it."""
    rows, file = rows_of_shard(2), file_of(rows_of_shard(2), tmp_path / "1.parquet")
    file.deletes = ("all of it",)
    task = task_of([file])
    task.target.io, task.target.metadata = None, SimpleNamespace(schema=lambda: None)
    monkeypatch.setattr(shards, "rows_of", lambda *_: iter([rows.slice(0, 0)]))
    assert (pack_shard(task).entries, pack_shard(task).files) == (0, ())
