"""JSON lines: each line may be of another shape."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from impressions.core.errors import CorruptData, MappingError, UsageError
from impressions.core.ids import PROFILE_BITS, hash_id
from tests.files.support import MS, PLAIN, take, text


def lines(*rows: Any) -> str:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows)


def good(u: Any, **more: Any) -> dict[str, Any]:
    return {"u": u, "t": 7, "ms": MS, **more}


def test_a_row_a_line(tmp_path: Path) -> None:
    """Numbers, texts that are numbers, absent names and nulls, blank lines, other columns."""
    content = lines(
        good(1, x={"u": [2]}), "", good("2"), {"t": 7, "ms": MS}, good(None), good(17850.0),
        good(2**63), good("1e3"), good(True), good([1]), {"ms": MS, "t": "7", "u": 9},
    )  # fmt: skip
    result = take(text(tmp_path / "e.jsonl", content))
    assert [r[2] for r in result.rows] == [
        "ok", "ok", "missing_profile", "missing_profile", "ok", "bad_profile", "bad_profile",
        "bad_profile", "bad_profile", "ok",
    ]  # fmt: skip
    assert [r[3] for r in result.rows if r[2] == "ok"] == [1, 2, 17850, 9]


def test_lines_that_are_no_objects_keep_their_place(tmp_path: Path) -> None:
    """Cut, a list, a word, nested without end, numbers without end, bytes that are no text."""
    broken = ['{"u": 1', "[1, 2]", "null", "7", "[" * 100_000, '{"u": NaN,}']
    content = lines(good(1), *broken, good(2)).encode() + b'{"u":"caf\xe9","t":7,"ms":5}\n'
    result = take(text(tmp_path / "e.ndjson", content + lines(good(3, x="\ud800")).encode()))
    assert [r[2] for r in result.rows] == ["ok", *["undecodable"] * 6, "ok", "undecodable", "ok"]
    assert [r[1] for r in result.rows] == list(range(10))
    assert result.shown[:2] == broken[:2]
    assert max(map(len, result.shown)) < 70_000


def test_numbers_enter_as_they_are_written(tmp_path: Path) -> None:
    """NaN is no dwell, a fraction of a second no rounding error, a large number no crash."""
    content = (
        f'{{"u":1,"t":7,"s":{MS // 1000}.123,"d":NaN}}\n{{"u":1,"t":7,"s":{MS // 1000},"d":1.5}}\n'
        f'{{"u":1,"t":7,"s":{MS // 1000},"d":{"9" * 5000}}}\n'
    )
    map_ = (*PLAIN[:2], "event_time=s:s", "dwell_s=d")
    result = take(text(tmp_path / "e.jsonl", content), map_=map_)
    assert [r[2] for r in result.rows] == ["bad_dwell", "ok", "bad_dwell"]
    assert result.column("event_ms")[0] == MS + 123


def test_text_ids_surrogates_and_marks(tmp_path: Path) -> None:
    """Escapes are what they stand for; half a pair is no two names' one id."""
    content = "\ufeff" + lines(good("caf\u00e9"), f'{{"u":"😀","t":7,"ms":{MS}}}')
    map_ = ("profile_id=u:hash", *PLAIN[1:])
    result = take(text(tmp_path / "e.jsonl", content), map_=map_)
    assert [r[3] for r in result.rows] == [hash_id(t, PROFILE_BITS) for t in ("café", "😀")]
    halves = lines(good("a\ud800"), good("a\udc00"), good("a"))
    found = take(text(tmp_path / "h.jsonl", halves), map_=map_)
    assert [r[2] for r in found.rows] == ["undecodable", "undecodable", "ok"]
    zipped = gzip.compress(content.encode())
    assert take(text(tmp_path / "e.jsonl.gz", zipped), map_=map_).counts == {"ok": 2}


def test_columns_that_are_in_no_line_are_refused(tmp_path: Path) -> None:
    """With the nearest name; an optional one may come late in a long file."""
    content = lines(*[{**good(i), "video": 1} for i in range(5)])
    with pytest.raises(MappingError, match="no column 'vidoe'") as caught:
        take(text(tmp_path / "e.jsonl", content), map_=(PLAIN[0], "title_id=vidoe", PLAIN[2]))
    assert caught.value.hint == "did you mean video?"
    late = lines(*[good(i) for i in range(1500)], good(1, device="tv"))
    result = take(text(tmp_path / "l.jsonl", late), map_=(*PLAIN, "device_type=device"))
    assert result.column("device_type")[-1] == "tv"


@pytest.mark.parametrize("content", ["", "hello\n", '[{"u": 1}]\n', "\n\n"])
def test_a_file_without_objects_is_refused(tmp_path: Path, content: str) -> None:
    """Empty, text, or an array of objects."""
    with pytest.raises(UsageError, match=r"e\.jsonl: "):
        take(text(tmp_path / "e.jsonl", content))


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    """Before it fills the memory."""
    content = lines(good(1)) + '{"u": "' + "x" * (5 << 20)
    with pytest.raises(CorruptData, match=r"e\.jsonl: row 1 \(from 0\) is longer than 4 MiB"):
        take(text(tmp_path / "e.jsonl", content))


def test_messages_are_printable(tmp_path: Path) -> None:
    """Names of columns and rows may hold anything; a terminal gets one line of it."""
    path = text(tmp_path / "e.jsonl", '{"\\ud800":1,"\\u001b[2J":2,"t":7,"ms":5}\n')
    with pytest.raises(MappingError, match="no column 'u'") as caught:
        take(path)
    assert caught.value.message.isprintable()
    rows = "".join(f'{{"u":1,"t":"\\u001b[2J","ms":{MS}}}\n' for _ in range(30))
    with pytest.raises(MappingError, match="bad_title") as caught:
        take(text(tmp_path / "f.jsonl", rows))
    assert caught.value.message.isprintable()
    lines = "\x1b[2J\n" * 30
    with pytest.raises(MappingError, match="undecodable") as caught:
        take(text(tmp_path / "e.csv", "u,t,ms\n" + lines))
    assert caught.value.message.isprintable()
