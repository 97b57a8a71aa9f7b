"""CSV as the world writes it: every row once, in its place, or said."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from batch.files import csv as csv_files
from impressions.core.errors import CorruptData, MappingError, UsageError
from impressions.core.ids import PROFILE_BITS, hash_id
from tests.files.support import MS, take, text

H = "u,t,ms\n"
ISO = ("profile_id=u", "title_id=t", "event_time=ms:iso")
HASH = ("profile_id=u:hash", "title_id=t:hash", "event_time=ms:ms")


def row(u: Any, t: Any = 7) -> str:
    return f"{u},{t},{MS}\n"


@pytest.mark.parametrize(
    "content",
    [
        H + row(1) + row(2),
        H + row(1) + row(2).rstrip("\n"),
        (H + row(1) + row(2)).replace("\n", "\r\n"),
        (H + row(1) + row(2)).replace("\n", "\r"),
        "\ufeff" + H + row(1) + row(2),
        "\n\n" + H + "\n" + row(1) + "\n\n" + row(2) + "\n\n",
        f'"u","t","ms"\n"1","7","{MS}"\n"2","7","{MS}"\n',
        f'u,"t",ms\n1,7,"{MS}"\n2,7,{MS}\n',
    ],
    ids=["plain", "no last line end", "crlf", "cr", "bom", "blank lines", "all quoted", "mixed"],
)
def test_line_ends_marks_and_quotes(tmp_path: Path, content: str) -> None:
    """Two rows, whoever wrote them."""
    result = take(text(tmp_path / "e.csv", content))
    assert result.rows == [("e.csv", 0, "ok", 1, 7), ("e.csv", 1, "ok", 2, 7)]


@pytest.mark.parametrize(
    ("name", "header", "line", "pairs", "options"),
    [
        ("pandas.csv", ",u,t,ms", "0,17850.0,7,{ms}", [(17850, 7)], {}),
        ("r.csv", '"","u","t","ms"', '"1",1,7,{ms}', [(1, 7)], {}),
        ("excel-de.csv", "u;t;ms;preis", "1;7;{ms};1,5", [(1, 7)], {"separator": ";"}),
        ("excel.tsv", "u\tt\tms", "1\t7\t{ms}", [(1, 7)], {}),
        ("pipe.csv", "u|t|ms", "1|7|{ms}", [(1, 7)], {"separator": "|"}),
        ("php.csv", "u,t,ms,note", '1,7,{ms},"a ""b"" c"', [(1, 7)], {}),
        ("twice.csv", "u,t,ms,x,x,,", "1,7,{ms},,,,", [(1, 7)], {}),
        ("corrupt.csv", "u,t,ms,_corrupt_record", "1,7,{ms},x", [(1, 7)], {}),
        ("inches.csv", "u,t,ms,size", '1,7,{ms},5" pipe', [(1, 7)], {}),
        ("wide.csv", "u,t,ms," + ",".join(map(str, range(3000))), "1,7,{ms}" + "," * 3000,
         [(1, 7)], {}),
    ],
)  # fmt: skip
def test_whoever_wrote_it(
    tmp_path: Path, name: str, header: str, line: str, pairs: Any, options: Any
) -> None:
    """What is not mapped harms nobody."""
    content = f"{header}\n{line.format(ms=MS)}\n"
    assert take(text(tmp_path / name, content), **options).pairs == pairs


@pytest.mark.parametrize(
    "name", ["a.b", "a b", "a`b", "a'b", "größe", "日本", "a,b", 'a"b', "a\nb"]
)
def test_any_name_of_a_column(tmp_path: Path, name: str) -> None:
    """Dots, blanks, quotes, line breaks."""
    quoted = '"' + name.replace('"', '""') + '"'
    path = text(tmp_path / "e.csv", f"{quoted},t,ms\n{row(5)}")
    assert take(path, map_=(f"profile_id={name}", *PLAIN_REST)).pairs == [(5, 7)]


PLAIN_REST = ("title_id=t", "event_time=ms:ms")


def test_rows_of_another_width_keep_their_place(tmp_path: Path) -> None:
    """Undecodable once, whatever is mapped, with number and line; so do rows around them."""
    lines = [row(0), "1\n", row(2), "3,3,3,3\n", "4\n", row(5), "6,\n"]
    result = take(text(tmp_path / "e.csv", H + "".join(lines)))
    assert [(r[1], r[2]) for r in result.rows] == [
        (0, "ok"), (1, "undecodable"), (2, "ok"), (3, "undecodable"), (4, "undecodable"), (5, "ok"),
        (6, "undecodable"),
    ]  # fmt: skip
    assert result.shown == ["1", "3,3,3,3", "4", "6,"]
    assert [r[3] for r in result.rows if r[2] == "ok"] == [0, 2, 5]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [40, 41, 64, 1000])
def test_numbers_of_rows_over_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, block: int
) -> None:
    """Broken rows at every edge of a block, blank lines, quoted line breaks."""
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", block)
    lines, expected = [], []
    for i in range(300):
        broken = i % 7 in (0, 3) or 100 <= i < 140 or i > 290
        good = f'{i},"7",{MS},"\n\r\n"\n' if i % 2 else f"{i},7,{MS},\n\n"
        lines.append(("x\n" if broken else good).replace("\n", end))
        expected.append((i, "undecodable" if broken else "ok"))
    header = "u,t,ms,note" + end
    result = take(text(tmp_path / "e.csv", header + "".join(lines)), look=False)
    assert [(r[1], r[2]) for r in result.rows] == expected
    assert all(r[3] == r[1] for r in result.rows if r[2] == "ok")


def test_a_quoted_line_break_is_part_of_its_field(tmp_path: Path) -> None:
    """And forges no row."""
    content = f'u,note,t,ms\n1,"x\n9,x,90,{MS}\n",7,{MS}\n2,,7,{MS}\n'
    assert take(text(tmp_path / "e.csv", content)).pairs == [(1, 7), (2, 7)]


def test_absent_and_empty_are_two_things(tmp_path: Path) -> None:
    """An unquoted empty field is absent; a quoted one is a value that is no number and no name."""
    content = H + f',7,{MS}\n"",7,{MS}\n1,,{MS}\n1,"",{MS}\n1,7,\n1,7,""\n1,NULL,{MS}\n'
    path = text(tmp_path / "e.csv", content)
    expected = ["missing_profile", "bad_profile", "missing_title", "bad_title",
                "missing_event_time", "bad_event_time"]  # fmt: skip
    assert [r[2] for r in take(path, look=False).rows] == [*expected, "bad_title"]
    assert [r[2] for r in take(path, look=False, map_=HASH).rows] == [*expected, "ok"]


@pytest.mark.parametrize(
    "content",
    [
        H + '1,"7,{ms}\n2,7,{ms}\n',
        H + '1,7,{ms}\n2,7,"{ms}',
        H + '1,7,{ms}\n"',
        'u,t,"ms\n1,7,{ms}\n',
    ],
)
def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, content: str) -> None:
    """The rest of the file would be one field."""
    path = text(tmp_path / "e.csv", content.format(ms=MS))
    with pytest.raises((CorruptData, MappingError), match=r"e\.csv: (a quote in row|no column)"):
        take(path)


def test_a_row_longer_than_a_block_is_refused_with_its_number(tmp_path: Path) -> None:
    """As after an unclosed quote in a large file; 3 MiB of one field are read."""
    wide = "x" * (3 << 20)
    path = text(tmp_path / "wide.csv", f"u,t,ms,note\n1,7,{MS},{wide}\n2,7,{MS},\n")
    assert take(path).pairs == [(1, 7), (2, 7)]
    open_quote = f'1,7,{MS},"' + f"{MS}\n" * 600_000
    path = text(tmp_path / "e.csv", f"u,t,ms,note\n0,7,{MS},\n{open_quote}")
    with pytest.raises(CorruptData, match=r"e\.csv: row [01] \(from 0\).*longer than 4 MiB"):
        take(path)


def test_bytes_of_another_encoding_are_named_row_by_row(tmp_path: Path) -> None:
    """Behind the first block too, and in rows of another width; an unmapped column harms nobody."""
    many = (H.strip() + ",note\n" + f"a,b,{MS},\n" * 200_000).encode()
    bad = f"caf,b,{MS},\n".encode().replace(b"caf", b"caf\xe9")
    note = f"a,b,{MS},caf\n".encode().replace(b"caf", b"caf\xe9")
    path = text(
        tmp_path / "e.csv", many + bad + note + b"caf\xe9,1\n" + bad.replace(b"\xe9", b"\xe8")
    )
    result = take(path, map_=HASH)
    assert result.counts == {"ok": 200_001, "undecodable": 3}
    assert [r[1] for r in result.rows if r[2] != "ok"] == [200_000, 200_002, 200_003]
    assert json.loads(result.shown[0])["u"] == "caf\ufffd"
    assert result.shown[1] == "caf\ufffd,1"


@pytest.mark.parametrize(
    ("encoding", "options"),
    [("utf-8", {}), ("utf-8-sig", {}), ("latin-1", {"encoding": "latin-1"}),
     ("cp1252", {"encoding": "windows-1252"}), ("utf-16", {"encoding": "utf-16"}),
     ("utf-16-le", {"encoding": "utf-16-le"}), ("shift-jis", {"encoding": "shift-jis"})],
)  # fmt: skip
def test_encodings(tmp_path: Path, encoding: str, options: dict[str, str]) -> None:
    """Stated, never guessed; the id is that of the text."""
    name = "東京" if encoding == "shift-jis" else "café"
    content = (H + row(name) * 3).encode(encoding)
    result = take(text(tmp_path / "e.csv", content), map_=HASH, **options)
    assert [r[3] for r in result.rows] == [hash_id(name, PROFILE_BITS)] * 3


def test_characters_of_any_plane_are_text(tmp_path: Path) -> None:
    """Those of the last one too, in a file that is complete."""
    names = ["😀", "\U0010ffff", "漢", "\u0000x", "é" * 50_000]
    path = text(tmp_path / "e.csv", H + "".join(row(name) for name in names))
    assert [r[3] for r in take(path, map_=HASH).rows] == [hash_id(n, PROFILE_BITS) for n in names]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (H.encode("utf-16"), "--encoding utf-16"),
        (H.encode("utf-16-le"), "--encoding utf-16-le"),
        ("u;t;ms\n1;7;5\n", "--separator ';'"),
        ("u\tt\tms\n1\t7\t5\n", "--separator tab"),
        ("u|t|ms\n1|7|5\n", "--separator '|'"),
        ("1,7,1762000000000\n", "--no-header"),
        ("sep=,\nu,t,ms\n", "the first line is Excel's"),
        ("ü,t,ms\n".encode("latin-1"), "--encoding latin-1"),
        ("U,t,ms\n", "did you mean"),
        (b"PK\x03\x04....", "save the sheet as CSV"),
    ],
)
def test_a_header_that_does_not_fit_is_answered_with_a_line(
    tmp_path: Path, content: str | bytes, hint: str
) -> None:
    """Another separator, no header, another encoding, another kind of file."""
    with pytest.raises(UsageError, match=r"e\.csv: ") as caught:
        take(
            text(tmp_path / "e.csv", content),
            map_=("profile_id=u", "title_id=t", "event_time=ms:ms"),
        )
    assert hint in (caught.value.hint or "") or hint == "did you mean"


@pytest.mark.parametrize("content", ["", "\n\n\r\n", "\ufeff"])
def test_a_file_without_a_header_is_refused(tmp_path: Path, content: str) -> None:
    """An empty part is no silence."""
    with pytest.raises(UsageError, match=r"e\.csv: (an empty file|nothing but blank lines)"):
        take(text(tmp_path / "e.csv", content))


def test_a_header_without_rows_is_a_file_without_rows(tmp_path: Path) -> None:
    """With and without a line end."""
    assert take(text(tmp_path / "e.csv", H)).rows == []
    assert take(text(tmp_path / "f.csv", H.strip())).rows == []


def test_columns_without_names_have_numbers(tmp_path: Path) -> None:
    """From 1; the first line is a row."""
    path = text(tmp_path / "e.csv", row(5) + row(6))
    result = take(path, map_=("profile_id=1", "title_id=2", "event_time=3:ms"), header=False)
    assert result.rows == [("e.csv", 0, "ok", 5, 7), ("e.csv", 1, "ok", 6, 7)]


def test_a_name_twice_is_refused_where_it_is_mapped(tmp_path: Path) -> None:
    """Which of the two is meant nobody knows."""
    with pytest.raises(MappingError, match="column 'u' is there 2 times"):
        take(text(tmp_path / "e.csv", "u,t,ms,u\n1,7,5,2\n"))


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    """Known by their bytes; a cut one is refused, a renamed one is read."""
    pack = gzip.compress if suffix == ".gz" else bz2.compress
    packed = pack((H + row(1) * 50_000).encode())
    assert len(take(text(tmp_path / f"e.csv{suffix}", packed)).rows) == 50_000
    assert len(take(text(tmp_path / "plain.csv", packed)).rows) == 50_000
    assert len(take(text(tmp_path / f"not.csv{suffix}", H + row(1))).rows) == 1
    tabs = (H + row(1)).replace(",", "\t").encode()
    assert take(text(tmp_path / f"x.tsv{suffix}", pack(tabs))).pairs == [(1, 7)]
    for cut in (packed[: len(packed) // 2], packed[:-4], packed[:12]):
        with pytest.raises(CorruptData, match="compressed data is cut or damaged"):
            take(text(tmp_path / f"cut.csv{suffix}", cut))


def test_a_file_of_one_column_and_of_broken_rows_only(tmp_path: Path) -> None:
    """The same column for all, and nothing that is a row."""
    path = text(tmp_path / "e.csv", f"x\n{MS}\n{MS + 1}\n")
    found = take(path, map_=("profile_id=x", "title_id=x", "event_time=x:ms"))
    assert found.pairs == [(MS, MS), (MS + 1, MS + 1)]
    path = text(tmp_path / "b.csv", H + "1\n" * 200_000)
    assert take(path, look=False).counts == {"undecodable": 200_000}
