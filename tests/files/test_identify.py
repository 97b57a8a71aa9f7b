"""What a file is: by its bytes, not by its name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from batch.files.identify import format_of, identify, suffix
from batch.files.reader import open_files, read
from batch.mapping.grammar import read_mapping
from impressions.core.errors import CorruptData, UsageError
from tests.files.support import NOW_MS, PLAIN, SPEC, parquet, take, text

CSV = "u,t,ms\n1,7,1762000000000\n"


def test_a_file_is_called_by_its_bytes_and_a_copy_is_said(tmp_path: Path) -> None:
    """A copy under another name is the same file, read once."""
    path, copy = parquet(tmp_path / "a.parquet"), tmp_path / "b.parquet"
    copy.write_bytes(path.read_bytes())
    (only,) = identify([path, copy, path])
    assert (only.path, only.copies) == (path, (copy,))
    assert only.source == "file:" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert len(take(tmp_path).rows) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.csv", ".csv"), ("E.TSV", ".tsv"), ("export.tsv.csv", ".csv"), ("x.tsv.GZ", ".tsv"),
     ("a.csv.tsv.bz2", ".tsv"), ("x.gz", ""), ("csv", ""), (".csv", ".csv"), (".csv.gz", ".csv"),
     ("a.csv.", "")],
)  # fmt: skip
def test_the_suffix_that_counts(name: str, expected: str) -> None:
    """The last one before the compression."""
    assert suffix(Path(name)) == expected


def test_format_by_the_first_bytes_or_by_name(tmp_path: Path) -> None:
    """Parquet's magic wins over any name; text without a suffix is not guessed."""
    assert format_of(parquet(tmp_path / "part-00000")) == "parquet"
    assert format_of(parquet(tmp_path / "really.csv")) == "parquet"
    assert format_of(text(tmp_path / "x.ndjson.gz", "{}")) == "json"
    with pytest.raises(UsageError, match="neither Parquet nor a name that ends in"):
        format_of(text(tmp_path / "events", "a,b\n"))


@pytest.mark.parametrize("how", ["append", "touch", "replace", "delete"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, how: str) -> None:
    """Before or after its rows came."""
    path = text(tmp_path / "e.csv", CSV)
    mapping = read_mapping(list(PLAIN), None, "event")
    (opened,) = open_files(identify([path]), mapping)
    (piece,) = opened.pieces(10)
    rows = read(piece, mapping, SPEC, NOW_MS)
    assert len(next(rows)) == 1
    if how == "append":
        with path.open("a") as more:
            more.write("2,7,1762000000000\n")
    elif how == "touch":
        os.utime(path, ns=(1, 1))
    elif how == "replace":
        os.replace(text(tmp_path / "new", CSV), path)
    else:
        path.unlink()
    with pytest.raises(CorruptData, match=r"e\.csv: (changed|gone) while it was read"):
        list(rows)
    with pytest.raises(CorruptData, match="while it was read"):
        list(read(piece, mapping, SPEC, NOW_MS))
