"""Rows of a shard out of its Parquet files: the same rows however they lie in files."""

import random
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.lake import profile_merge
from batch.lake.opened_files import Opened
from batch.lake.profile_merge import complete_profiles_of
from impressions.core.errors import CorruptData

COLUMNS = ("profile_id", "title_id", "tail_day")


def rows_of(profiles, seed=1):
    """A row per profile id given, with titles that tell rows apart."""
    rng = random.Random(seed)
    return pa.table(
        {
            "shard": pa.array([0] * len(profiles), pa.int32()),
            "profile_id": pa.array(profiles, pa.int64()),
            "title_id": pa.array(range(len(profiles)), pa.int64()),
            "tail_day": pa.array([rng.choice([None, 7]) for _ in profiles], pa.int32()),
        }
    )


def random_profiles(rng):
    """Ascending; some profiles of one row, some of hundreds, and the largest id there is."""
    ids = sorted({rng.randint(0, 500) for _ in range(rng.randint(1, 60))} | {2**63 - 1})
    return [i for i in ids for _ in range(rng.choice([1, 1, 2, 9, 200]))]


def written(path, table, rng):
    pq.write_table(
        table, path, row_group_size=rng.choice([1, 7, 50, 10_000]),
        write_statistics=rng.random() < 0.8,
    )  # fmt: skip
    return str(path)


def read(paths, batch_rows=profile_merge.BATCH_ROWS):
    return list(complete_profiles_of(paths, COLUMNS, {}, batch_rows))


def sorted_rows(pieces):
    return sorted(
        (row["profile_id"], row["title_id"], row["tail_day"])
        for piece in pieces
        for row in piece.to_pylist()
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_any_files_give_every_row_in_whole_profiles(seed, tmp_path, monkeypatch):
    """Cut between files and dealt out over files, also within a profile; files without rows; in
    pieces of any size."""
    rng = random.Random(seed)
    monkeypatch.setattr(profile_merge, "PIECE_ROWS", rng.choice([50, 1 << 16]))
    whole = rows_of(random_profiles(rng), seed)
    count = rng.randint(1, 6)
    if rng.random() < 0.5:
        cuts = sorted(rng.randint(0, whole.num_rows) for _ in range(count))
        parts = [range(a, b) for a, b in zip([0, *cuts], [*cuts, whole.num_rows], strict=True)]
    else:
        owner = [rng.randrange(count) for _ in range(whole.num_rows)]
        parts = [[i for i, o in enumerate(owner) if o == part] for part in range(count)]
    paths = [
        written(tmp_path / f"{rng.random()}.parquet", whole.take(pa.array(part, pa.int64())), rng)
        for part in parts
    ]
    pieces = read(paths, rng.choice([1, 3, 64, 100_000]))
    assert sorted_rows(pieces) == sorted_rows([whole])
    ids = [piece.column("profile_id").to_pylist() for piece in pieces]
    assert all(max(one) < min(other) for one, other in pairwise(ids))


def test_files_are_read_when_their_profiles_come(tmp_path, monkeypatch):
    """Not all at once: of files that follow each other, two are at hand where they touch."""
    paths = [str(tmp_path / f"{first}.parquet") for first in range(0, 200, 10)]
    for first, path in zip(range(0, 200, 10), paths, strict=True):
        ids = [first] * 30 + list(range(first + 1, first + 10)) + [first + 10] * 30
        pq.write_table(rows_of(ids), path)
    largest, safe = [0], profile_merge._safe
    monkeypatch.setattr(
        profile_merge, "_safe", lambda files: largest.append(len(list(files))) or safe(files)
    )
    pieces = read(random.Random(5).sample(paths, len(paths)), batch_rows=16)
    assert sum(piece.num_rows for piece in pieces) == 20 * 69
    assert max(largest) == 2
    assert max(piece.num_rows for piece in pieces) <= 60 + 2 * 16


def test_rows_that_are_at_hand_come_in_small_pieces(tmp_path, monkeypatch):
    """Of two files read at once, which hold 40 profiles of four rows: five pieces, in the order of
    profiles, and within a profile one file after the other."""
    monkeypatch.setattr(profile_merge, "PIECE_ROWS", 32)
    paths = [str(tmp_path / name) for name in ("1.parquet", "2.parquet")]
    for path in paths:
        pq.write_table(rows_of([i for i in range(40) for _ in range(2)]), path)
    pieces = read(paths)
    assert [piece.num_rows for piece in pieces] == [32] * 5
    assert sorted_rows(pieces) == sorted_rows(
        [rows_of([i for i in range(40) for _ in range(2)])] * 2
    )
    assert pieces[1].column("title_id").to_pylist() == [*range(16, 32)] * 2


def test_paths_as_iceberg_writes_them(tmp_path):
    """Schemes with and without slashes; what a URL would escape stands as it is."""
    (tmp_path / "a b%20#c").mkdir()
    path = tmp_path / "a b%20#c" / "1.parquet"
    pq.write_table(rows_of([1, 2]), path)
    for shown in (str(path), f"file:{path}", f"file://{path}"):
        assert sorted_rows(read([shown])) == sorted_rows([rows_of([1, 2])])


def test_no_files_no_rows():
    assert read([]) == []


@pytest.mark.parametrize("batch_rows", [2, 100])
def test_a_file_that_is_not_sorted_is_refused(tmp_path, batch_rows):
    pq.write_table(rows_of([1, 2, 9, 3, 4, 5]), tmp_path / "1.parquet")
    with pytest.raises(CorruptData, match=r"1\.parquet: profiles do not ascend") as refused:
        read([str(tmp_path / "1.parquet")], batch_rows)
    assert "close --again" in str(refused.value.hint)  # what another engine compacted


def test_a_missing_column_is_refused(tmp_path):
    pq.write_table(rows_of([1]).drop_columns("tail_day"), tmp_path / "1.parquet")
    with pytest.raises(CorruptData, match="no column tail_day"):
        read([str(tmp_path / "1.parquet")])


def test_a_null_profile_is_refused(tmp_path):
    pq.write_table(rows_of([1, None]), tmp_path / "1.parquet")
    with pytest.raises(CorruptData, match="nulls in profile_id"):
        read([str(tmp_path / "1.parquet")])


@pytest.mark.parametrize("left", [0, 100, -8])
def test_a_file_that_was_cut_is_named(tmp_path, left):
    """Without its footer, or with nothing at all."""
    path = tmp_path / "1.parquet"
    pq.write_table(rows_of([1, 2]), path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CorruptData, match=r"1\.parquet: cannot be read: "):
        read([str(path)])


def test_a_file_whose_data_rotted_is_named(tmp_path):
    """The footer is complete, the pages are not: met on reading."""
    path = tmp_path / "1.parquet"
    pq.write_table(rows_of(range(1_000)), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=r"1\.parquet: cannot be read: "):
        read([str(path)])


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(CorruptData, match=r"gone\.parquet: cannot be read: "):
        read([str(tmp_path / "gone.parquet")])


def test_of_a_range_only_its_rows_are_held(tmp_path):
    """A year of files that are read at once: rows beside the range would be held until the end."""
    paths = [str(tmp_path / f"{n}.parquet") for n in range(20)]
    for path in paths:
        pq.write_table(rows_of(range(20_000)), path)
    before = pa.total_allocated_bytes()
    pieces = complete_profiles_of(paths, COLUMNS, {}, profiles=(7, 9))
    held = pa.total_allocated_bytes() - before
    assert sorted(row["profile_id"] for p in pieces for row in p.to_pylist()) == [7] * 20 + [8] * 20
    assert held < 20_000 * 20  # of one file


@pytest.mark.parametrize("seed", range(20))
def test_a_shard_out_of_files_of_many_shards(seed, tmp_path):
    """However row groups lie, and whether they are kept for the next shard or decoded again; some
    files are of one shard, as earlier versions wrote them."""
    rng, shards = random.Random(seed), 7
    paths, expected = [], {shard: [] for shard in range(shards)}
    for n in range(rng.randint(1, 6)):
        of = [n % shards] if rng.random() < 0.3 else range(shards)
        keys = sorted(
            (s, rng.randint(0, 9) * shards + s) for s in of for _ in range(rng.randint(0, 30))
        )
        table = rows_of([profile for _, profile in keys], seed)
        table = table.set_column(0, "shard", pa.array([s for s, _ in keys], pa.int32()))
        paths.append(written(tmp_path / f"{n}.parquet", table, rng))
        for shard, row in zip([s for s, _ in keys], table.select(COLUMNS).to_pylist(), strict=True):
            expected[shard].append(tuple(row.values()))
    opened = Opened({}, COLUMNS, rng.choice([0, 300, 1 << 20]))
    for shard, rows in expected.items():
        opened.passed(shard - 1)
        pieces = list(
            complete_profiles_of(
                paths, COLUMNS, {}, rng.choice([1, 9, 9999]), shard=shard, opened=opened
            )
        )
        assert sorted_rows(pieces) == sorted(rows, key=lambda row: (row[0], row[1], row[2])), (
            f"seed {seed}"
        )
        ids = [piece.column("profile_id").to_pylist() for piece in pieces]
        assert all(max(one) < min(other) for one, other in pairwise(ids))
