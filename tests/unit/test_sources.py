"""The files of an import: which are found, what they are called, which are read together."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.sources import find_files, format_of, group_files, identify
from impressions.errors import CorruptData, UsageError


def parquet(path: Path, type_: pa.DataType | None = None, name: str = "a") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array([1], type_ or pa.int64())}), path)
    return path


def test_directories_and_globs_give_data_files_once(tmp_path: Path) -> None:
    """What begins with _ or . is left out, and so is what is neither Parquet nor CSV."""
    kept = [parquet(tmp_path / "d" / "p=1" / "x.parquet"), tmp_path / "d" / "y.csv"]
    kept[1].write_text("a\n1\n")
    for other in ("_SUCCESS", ".x.parquet.crc", "README.md"):
        (tmp_path / "d" / other).write_text("-")
    parquet(tmp_path / "d" / "_tmp" / "z.parquet")
    assert find_files([str(tmp_path / "d"), str(tmp_path / "d" / "*.csv")]) == kept


@pytest.mark.parametrize("name", ["none.parquet", "*.parquet", "."])
def test_nothing_found_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A typing error in a path must not look like an empty import."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no such file|holds no Parquet or CSV"):
        find_files([name])


def test_a_file_is_called_by_its_bytes(tmp_path: Path) -> None:
    """A copy under another name is the same file."""
    path = parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(path.read_bytes())
    (only,) = identify([path, tmp_path / "b.parquet"])
    assert only.path == path
    assert only.source == "file:" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_format_by_name_or_by_the_first_bytes(tmp_path: Path) -> None:
    """A Parquet file without a suffix is one; text without one is not guessed."""
    assert format_of(Path("x.csv.gz")) == "csv"
    assert format_of(parquet(tmp_path / "part-00000")) == "parquet"
    (tmp_path / "events").write_text("a,b\n")
    with pytest.raises(UsageError, match="neither Parquet nor a name that ends in"):
        format_of(tmp_path / "events")


def test_files_of_one_shape_are_read_together(tmp_path: Path) -> None:
    """int32 and int64 apart, although both are integers; a gzipped CSV is a CSV."""
    paths = [parquet(tmp_path / "a.parquet"), parquet(tmp_path / "b.parquet", pa.int32()),
             parquet(tmp_path / "c.parquet", name="b"), tmp_path / "d.csv.gz"]  # fmt: skip
    paths[3].write_bytes(gzip.compress(b'"x y",z\n'))
    groups = group_files(identify(paths))
    assert [group.kinds for group in groups] == [
        {"a": "integer"},
        {"a": "integer"},
        {"b": "integer"},
        {"x y": "csv_text", "z": "csv_text"},
    ]


def test_kinds_of_arrow_types(tmp_path: Path) -> None:
    """Dictionaries are what they hold; nanoseconds are told apart, Spark reads them as integers."""
    columns = {
        "u64": (pa.array([1], pa.uint64()), "integer"),
        "cat": (pa.array(["a"]).dictionary_encode(), "text"),
        "ns": (pa.array([1], pa.timestamp("ns")), "timestamp_ns"),
        "us": (pa.array([1], pa.timestamp("us", "UTC")), "timestamp"),
        "dec": (pa.array([1]).cast(pa.decimal128(20, 0)), "decimal"),
        "list": (pa.array([[1]]), "other"),
    }
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: array for name, (array, _) in columns.items()}), path)
    (group,) = group_files(identify([path]))
    assert group.kinds == {name: kind for name, (_, kind) in columns.items()}


@pytest.mark.parametrize("header", ["", "a,a\n", "a,,b\n"])
def test_a_csv_must_name_its_columns(tmp_path: Path, header: str) -> None:
    """No header, a name twice, a column without one."""
    path = tmp_path / "e.csv"
    path.write_text(header)
    with pytest.raises(UsageError, match="the first line names the columns"):
        group_files(identify([path]))


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    """With its size: a cut file is the usual reason."""
    path = tmp_path / "e.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(CorruptData, match=r"e\.parquet: not readable as Parquet \(21 bytes\)"):
        group_files(identify([path]))
