"""Random tables, written in every format, against a reader of plain Python."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.files.support import MS, Result, take, text

MAP = ("profile_id=u", "title_id=t:hash", "event_time=at:s", "dwell_s=d:ms", "played=p",
       "location=l", "device_type=x")  # fmt: skip
NAMES = ("note", "u", "t", "at", "d", "p", "l", "x")

words = st.text("ab,\"\n\r;é😀 '\\", max_size=6)
numbers = st.sampled_from(
    ["1", "-1", "7.0", "1e3", "0x1", "", " 4 ", "9" * 19, "x", "1_0", "255", "256"]
)
stamps = st.sampled_from([str(MS // 1000), f"{MS // 1000}.1239", f"{MS / 1e3:e}", "soon", "", "-1"])
truths = st.sampled_from(["true", "FALSE", "0", "1.0", "2", "yes", ""])
cells = st.tuples(words, numbers, words, stamps, numbers, truths, numbers, words)
rows_of_cells = st.lists(
    cells.flatmap(lambda row: st.tuples(*(st.sampled_from([cell, cell, None]) for cell in row))),
    max_size=12,
)


def number(value: str) -> float | None:
    stripped = value.strip(" \t\r\n")
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", stripped, re.ASCII):
        return float(stripped)
    return None


def whole(value: str) -> int | None:
    found = re.fullmatch(r"[ \t\r\n]*([+-]?[0-9]+)(\.0+)?[ \t\r\n]*", value, re.ASCII)
    return int(found[1]) if found and -(2**63) <= int(found[1]) < 2**63 else None


def hashed(value: str) -> int | None:
    digest = hashlib.sha256(value.encode()).digest()[:8]
    return int.from_bytes(digest, "big") % 2**55 if value else None


def naive(row: Sequence[str | None]) -> tuple[Any, ...]:
    """(reason, profile, title, event ms, dwell, played, location, device) of one row."""
    _, u, t, at, d, p, location, device = row
    truth = {"true": 1, "false": 0}.get(p.strip().lower(), whole(p)) if p is not None else 0
    profile, title = (f(v) if v is not None else None for f, v in ((whole, u), (hashed, t)))
    seconds = number(at) if at is not None else None
    time_ms = int(round(seconds * 1e6) // 1000) if seconds is not None else None
    dwell = 0.0 if d is None else number(d)
    place = 0 if location is None else whole(location)
    for reason, failed in (
        ("undecodable", truth not in (0, 1)),
        ("missing_profile", u is None), ("missing_title", t is None),
        ("missing_event_time", at is None), ("bad_event_time", time_ms is None),
        ("bad_ingest_time", time_ms is not None and time_ms < 946_684_800_000),
        ("bad_profile", profile is None or profile < 0), ("bad_title", title is None),
        ("bad_location", place is None or not 0 <= place <= 255),
        ("bad_dwell", dwell is None or not 0 <= dwell / 1000 <= 1e9),
    ):  # fmt: skip
        if failed:
            return (reason,)
    return ("ok", profile, title, time_ms, dwell / 1000, bool(truth), place, device)


def found(result: Result) -> list[tuple[Any, ...]]:
    names = ("event_ms", "dwell_s", "played", "location", "device_type")
    columns = zip(*(result.column(name) for name in names), strict=True)
    return [
        (reason, profile, title, *values) if reason == "ok" else (reason,)
        for (_, _, reason, profile, title), values in zip(result.rows, columns, strict=True)
    ]


def as_csv(rows: Sequence[Sequence[str | None]], end: str) -> str:
    """A null is nothing between separators; everything else is quoted, or plain where it can be."""
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerow(NAMES)

    def field(i: int, value: str | None) -> str:
        plain = value and i % 2 and not set(value) & set('",\r\n;')
        return "" if value is None else value if plain else '"' + value.replace('"', '""') + '"'

    lines = [",".join(field(i, value) for i, value in enumerate(row)) for row in rows]
    return out.getvalue() + "".join(line + end for line in lines)


@settings(max_examples=150, deadline=None)
@given(rows_of_cells, st.sampled_from(["\n", "\r\n"]))
@example([("a", "7.0", "b", f"{MS // 1000}.1239", "1e3", "1.0", "255", "\r")], "\n")
def test_every_format_gives_what_plain_python_gives(rows: Any, end: str) -> None:
    """The same rows as CSV, as JSON lines, as Parquet of text and of categories."""
    expected = [naive(row) for row in rows]
    with TemporaryDirectory() as root:
        path = text(Path(root) / "e.csv", as_csv(rows, end))
        assert found(take(path, map_=MAP, look=False)) == expected
        if rows:
            lines = [json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows]
            path = text(Path(root) / "e.jsonl", "".join(lines))
            assert found(take(path, map_=MAP, look=False)) == expected
        columns = zip(*rows, strict=True) if rows else [()] * len(NAMES)
        table = pa.table([pa.array(c, pa.string()) for c in columns], names=list(NAMES))
        map_ = (*MAP[:5], "location=l:int", MAP[6], "profile_id=u:int")
        for i, layout in enumerate((pa.string(), pa.dictionary(pa.int32(), pa.string()))):
            path = Path(root) / f"{i}.parquet"
            pq.write_table(
                pa.table([c.cast(layout) for c in table.columns], names=list(NAMES)), path
            )
            assert found(take(path, map_=map_, look=False)) == expected
