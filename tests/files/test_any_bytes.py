"""Whatever bytes a file holds: rows, or a refusal that names it; never a crash."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core.errors import ImpressionsError
from tests.files.support import MS, PLAIN, take, text

CSV = b'u,t,ms\n1,7,%d\n2,"a\nb",%d\n3,\xc3\xa9,\n' % (MS, MS)
JSON = b'{"u":1,"t":7,"ms":%d}\n{"u":"2","t":null,"ms":1.5}\n' % MS
MAPS = (PLAIN, ("profile_id=u:hash", "title_id=t:hash", "event_time=ms:iso", "log_id=hash(u,t)"))


def _parquet() -> bytes:
    out = pa.BufferOutputStream()
    table = pa.table({"u": ["a", "b", None], "t": [1, 2, 3], "ms": [MS] * 3})
    pq.write_table(table, out, compression="none")
    return bytes(out.getvalue().to_pybytes())


GOOD = {"e.csv": CSV, "e.tsv": CSV.replace(b",", b"\t"), "e.jsonl": JSON, "e.parquet": _parquet(),
        "e.csv.gz": gzip.compress(CSV, mtime=0)}  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name, and anything, or a good file with bytes changed, cut out and put in."""
    name = draw(st.sampled_from(sorted(GOOD)))
    if draw(st.integers(0, 4)) == 0:
        return name, draw(st.binary(max_size=200))
    content = bytearray(GOOD[name])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        cut = draw(st.integers(0, 8))
        content[place : place + cut] = draw(st.binary(max_size=8) | st.sampled_from([
            b'"', b"\n", b"\r", b",", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"\\ud800"
        ]))  # fmt: skip
    return name, bytes(content)


@settings(max_examples=400, deadline=None)
@given(files(), st.sampled_from(MAPS), st.booleans())
def test_rows_or_a_refusal_that_names_the_file(
    file: tuple[str, bytes], map_: tuple[str, ...], look: bool
) -> None:
    """And each row once, numbered from 0."""
    with TemporaryDirectory() as root:
        path = text(Path(root) / file[0], file[1])
        try:
            result = take(path, map_=map_, look=look)
        except ImpressionsError as error:
            refusal = error.message
        else:
            refusal = ""
        if refusal:
            assert file[0] in refusal
            return
        assert [row[1] for row in result.rows] == list(range(len(result.rows)))
        assert len(result.shown) == sum(row[2] != "ok" for row in result.rows)
