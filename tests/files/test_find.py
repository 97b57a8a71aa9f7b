"""Which files are meant: every one asked for, once, whatever its name, or said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch.files.find import find_files
from batch.files.names import printable
from impressions.core.errors import UsageError
from tests.files.support import parquet, take, text

CSV = "u,t,ms\n1,7,1762000000000\n"


def names(root: Path, *patterns: str) -> list[str]:
    found = find_files([str(root / pattern) for pattern in patterns or ("",)])
    return [str(path.relative_to(root)) for path in found.files]


@pytest.mark.parametrize(
    "name",
    ["e[1].csv", "e[!a].csv", "{a,b}.csv", "what?.csv", "all*.csv", "e_12:00.csv", "b\\slash.csv",
     "_e.csv", ".e.csv", "with space.csv", " lead.csv", "line\nbreak.csv", "größe 漢.csv", "-x.csv",
     "~.csv", "$HOME.csv", "%41.csv", "#1.csv", "a;b.csv", "'quoted'.csv", '".csv', ".csv"],
)  # fmt: skip
def test_a_name_is_a_name(tmp_path: Path, name: str) -> None:
    """Asked for by itself and by its directory, beside a file that a glob of its name matches."""
    text(tmp_path / "d" / name, CSV)
    text(tmp_path / "d" / "e1.csv", CSV.replace("1,7", "2,7"))
    assert take(tmp_path / "d" / name).pairs == [(1, 7)]
    assert sorted(take(tmp_path / "d").pairs) == [(1, 7), (2, 7)]
    assert printable(tmp_path / name).isprintable()


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    """Bytes are a name; a message spells them."""
    root = os.fsencode(tmp_path)
    with open(root + b"/caf\xe9.csv", "w") as out:
        out.write(CSV)
    (path,) = find_files([os.fsdecode(root + b"/caf\xe9.csv")]).files
    assert take(os.fsdecode(path)).pairs == [(1, 7)]
    assert take(tmp_path).pairs == [(1, 7)]
    assert printable(path).endswith("caf\\xe9.csv")
    printable(path).encode("utf-8")


def test_brackets_in_a_directory(tmp_path: Path) -> None:
    """A path that exists is no glob."""
    parquet(tmp_path / "drop[2025]" / "e.parquet")
    text(tmp_path / "drop2" / "other.csv", CSV)
    assert names(tmp_path, "drop[2025]") == ["drop[2025]/e.parquet"]
    assert names(tmp_path, "drop[2025]/e.parquet") == ["drop[2025]/e.parquet"]


def test_a_directory_gives_its_data_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    """By suffix in any case or by magic; companions of writers are nothing."""
    parquet(tmp_path / "p=1" / "_x.PARQUET")
    parquet(tmp_path / "part-1")
    for name in ("E.TSV", "b.Csv", "c.csv.gz", "d.jsonl", ".hidden.csv"):
        text(tmp_path / name, CSV)
    for name in ("_SUCCESS", ".x.crc", "_committed_7", "_started_7", ".DS_Store", "._b.csv"):
        text(tmp_path / name, "")
    parquet(tmp_path / "_metadata")
    for name in ("e.json", "e.csv.zst", "README.md", "e.parquet.gz"):
        text(tmp_path / name, "x")
    parquet(tmp_path / "_temporary" / "0" / "x.parquet")
    parquet(tmp_path / ".spark-staging-1" / "x.parquet")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    assert names(tmp_path) == [
        ".hidden.csv", "E.TSV", "b.Csv", "c.csv.gz", "d.jsonl", "part-1", "p=1/_x.PARQUET",
    ]  # fmt: skip
    left = {left.path.name: left.why for left in find_files([str(tmp_path)]).left_out}
    assert set(left) == {
        "e.json", "e.csv.zst", "README.md", "e.parquet.gz", "_temporary", ".spark-staging-1",
        "gone.csv", "pipe.csv",
    }  # fmt: skip
    assert left["_temporary"] == "of a job that has not finished"
    assert left["gone.csv"] == "a link to nothing"
    assert "neither Parquet nor" in left["e.json"]


def test_links_are_followed_without_loops(tmp_path: Path) -> None:
    """A directory is walked once, through whichever link."""
    text(tmp_path / "elsewhere" / "a.csv", CSV)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "d")
    assert names(tmp_path, "d") == ["d/link/a.csv"]


def test_globs(tmp_path: Path) -> None:
    """Match files and directories, also in depth; a file matched twice is one."""
    text(tmp_path / "day=1" / "a.csv", CSV)
    text(tmp_path / "day=2" / "deep" / "b.csv", CSV)
    text(tmp_path / "day=2" / "_SUCCESS", "")
    assert names(tmp_path, "day=*") == ["day=1/a.csv", "day=2/deep/b.csv"]
    assert names(tmp_path, "**/*.csv", "day=1/*") == ["day=1/a.csv", "day=2/deep/b.csv"]


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie", "_spark_metadata", "metadata"])
@pytest.mark.parametrize("asked", ["table", "table/part=1", "."])
def test_a_table_of_another_format_is_refused(tmp_path: Path, log: str, asked: str) -> None:
    """Which of its files are live only its log knows, wherever in it one stands."""
    parquet(tmp_path / "table" / "part=1" / "x.parquet")
    text(tmp_path / "table" / log / "v1.metadata.json", "{}")
    with pytest.raises(UsageError, match="known to its log only") as caught:
        find_files([str(tmp_path / asked)])
    assert caught.value.reason == "table"


@pytest.mark.parametrize("name", ["none.parquet", "*.parquet", ".", "", "a\0b", "x" * 5000])
def test_nothing_found_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A typing error in a path must not look like an empty import."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no such file|holds no Parquet") as caught:
        find_files([name])
    assert caught.value.reason == "no_files"


def test_what_is_asked_for_by_name_is_read_or_refused(tmp_path: Path) -> None:
    """Never left out quietly."""
    text(tmp_path / "e.txt", CSV)
    with pytest.raises(UsageError, match=r"e\.txt: found neither Parquet nor a name"):
        find_files([str(tmp_path / "e.txt")])
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match=r"pipe\.csv: no regular file"):
        find_files([str(tmp_path / "pipe.csv")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    """File and directory."""
    text(tmp_path / "e.csv", CSV).chmod(0)
    with pytest.raises(UsageError, match=r"e\.csv: cannot be read"):
        find_files([str(tmp_path)])
