"""Files that once broke an import: each made here, read to its end or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from impressions.core.errors import MappingError
from tests.files.support import MS, NOW_MS, PLAIN, parquet, take, text

GOOD = {"u": [1, 2, 3], "t": [10, 11, 12], "ms": [MS] * 3}
ISO = ("profile_id=u", "title_id=t:hash", "event_time=ts:iso", "dwell_s=d")


def test_int96_with_arrows_own_schema_beside_it(tmp_path: Path) -> None:
    """Imported."""
    at = pa.array([MS * 10**6] * 3, pa.timestamp("ns"))
    path = parquet(tmp_path / "e.parquet", {**GOOD, "at": at}, use_deprecated_int96_timestamps=True)
    assert take(path, map_=(*PLAIN[:2], "event_time=at:timestamp")).counts == {"ok": 3}


@pytest.mark.parametrize("type_", [pa.time32("ms"), pa.time32("s"), pa.time64("ns")])
def test_an_unmapped_time_of_day(tmp_path: Path, type_: pa.DataType) -> None:
    """Imported: what is not mapped is not read."""
    path = parquet(tmp_path / "e.parquet", {"x": pa.array([1, 2, 3], type_), **GOOD})
    assert take(path).counts == {"ok": 3}


def test_brotli(tmp_path: Path) -> None:
    """Imported."""
    assert take(parquet(tmp_path / "e.parquet", compression="brotli")).counts == {"ok": 3}


def test_a_line_break_that_forges_a_row(tmp_path: Path) -> None:
    """Two rows; (9, 90) is nowhere."""
    forged = f'u,t,ms,n\n1,10,{MS},"a\n9,90,{MS},b"\n2,20,{MS},c\n'
    assert take(text(tmp_path / "e.csv", forged)).pairs == [(1, 10), (2, 20)]


def test_latin1_behind_the_first_block(tmp_path: Path) -> None:
    """Rejected with its row; never one id for two titles."""
    rows = b"u,t,ms\n" + b"a,b,%d\n" % MS * 2000
    rows += b"a,film \xe9,%d\na,film \xe8,%d\n" % (MS, MS)
    map_ = ("profile_id=u:hash", "title_id=t:hash", PLAIN[2])
    result = take(text(tmp_path / "e.csv", rows), map_=map_)
    assert result.counts == {"ok": 2000, "undecodable": 2}
    assert [r[1] for r in result.rows[-2:]] == [2000, 2001]
    latin = take(text(tmp_path / "e.csv", rows), map_=map_, encoding="latin-1")
    assert len({r[4] for r in latin.rows[-2:]}) == 2


def test_tabs_by_the_suffix_that_counts(tmp_path: Path) -> None:
    """`E.TSV` has tabs, `export.tsv.csv` commas."""
    content = f"u,t,ms\n1,7,{MS}\n"
    assert take(text(tmp_path / "E.TSV", content.replace(",", "\t"))).pairs == [(1, 7)]
    assert take(text(tmp_path / "export.tsv.csv", content)).pairs == [(1, 7)]


def test_ids_beyond_63_bits(tmp_path: Path) -> None:
    """Rejected row by row."""
    ids = pa.array([5, 2**63, 2**64 - 1], pa.uint64())
    result = take(parquet(tmp_path / "e.parquet", {**GOOD, "u": ids}))
    assert result.counts == {"ok": 1, "bad_profile": 2}
    assert json.loads(result.shown[0])["u"] == 2**63


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    """Mapped: refused with the name. Unmapped: imported."""
    arrays = [pa.array(values) for values in (*GOOD.values(), [0] * 3)]
    with pytest.raises(MappingError, match="column 't' is there 2 times"):
        take(parquet(tmp_path / "e.parquet", pa.table(arrays, names=["u", "t", "ms", "t"])))
    both = [*arrays, pa.array([0] * 3)]
    table = pa.table(both, names=["u", "t", "ms", "x", "x"])
    assert take(parquet(tmp_path / "f.parquet", table)).counts == {"ok": 3}


def test_a_column_called_as_spark_calls_its_own(tmp_path: Path) -> None:
    """Imported."""
    path = text(tmp_path / "e.csv", f"u,t,ms,_corrupt_record\n1,10,{MS},\n2,20,{MS},x\n")
    assert take(path).counts == {"ok": 2}


def test_a_directory_of_many_kinds(tmp_path: Path) -> None:
    """What is left out is said."""
    parquet(tmp_path / "part-0.parquet")
    parquet(tmp_path / "part-1", {**GOOD, "u": [4, 5, 6]})
    parquet(tmp_path / "part-4.PARQUET", {**GOOD, "u": [7, 8, 9]})
    text(tmp_path / "part-2.csv.zst", b"\x28\xb5\x2f\xfd")
    text(tmp_path / "part-3.json", "[]")
    result = take(tmp_path)
    assert [u for u, _ in result.pairs] == list(range(1, 10))
    assert [Path(left.partition(": ")[0]).name for left in result.left_out] == [
        "part-2.csv.zst", "part-3.json",
    ]  # fmt: skip


def test_semicolons(tmp_path: Path) -> None:
    """The hint names the separator."""
    path = text(tmp_path / "e.csv", f"u;t;ms\n1;10;{MS}\n")
    with pytest.raises(MappingError) as caught:
        take(path)
    assert "--separator ';'" in (caught.value.hint or "")
    assert take(path, separator=";").pairs == [(1, 10)]


def test_string_views(tmp_path: Path) -> None:
    """Read."""
    path = parquet(
        tmp_path / "e.parquet", {**GOOD, "u": pa.array(["a", "b", "c"], pa.string_view())}
    )
    assert take(path, map_=("profile_id=u:hash", *PLAIN[1:])).counts == {"ok": 3}


def test_rows_that_are_shifted(tmp_path: Path) -> None:
    """An unquoted comma and a short row: undecodable, once each, whatever is mapped."""
    path = text(
        tmp_path / "w.csv",
        "u,ts,d,name,t\n401,2025-11-01T00:00:01Z,1,Red,T77\n"
        "402,2025-11-01T00:00:02Z,1,Big, bad wolf,T78\n403,2025-11-01T00:00:03Z,1,T79\n",
    )
    result = take(path, map_=ISO)
    assert result.rows[0][2:4] == ("ok", 401)
    assert [r[2] for r in result.rows] == ["ok", "undecodable", "undecodable"]
    assert [line[:3] for line in result.shown] == ["402", "403"]
    assert take(path, map_=("profile_id=u", "title_id=u", "event_time=ts:iso")).counts == {
        "ok": 1, "undecodable": 2,
    }  # fmt: skip


def test_a_quoted_line_break(tmp_path: Path) -> None:
    """Two rows."""
    content = (
        'u,note,t,ts,d\n103,"line one\nline two",A,2025-11-01T00:00:01Z,1.5\n'
        "104,plain,A,2025-11-01T00:00:02Z,1.5\n"
    )
    assert take(text(tmp_path / "w.csv", content), map_=ISO).counts == {"ok": 2}


def test_what_pandas_writes(tmp_path: Path) -> None:
    """A nameless index, whole ids with .0, a blank: two rows, one missing profile."""
    content = (
        ",user,title,at\n0,17850.0,7,2025-11-01T00:00:01Z\n1,17850.0,8,2025-11-01T00:00:02Z\n"
        "2,,8,2025-11-01T00:00:02Z\n"
    )
    map_ = ("profile_id=user", "title_id=title", "event_time=at:iso")
    result = take(text(tmp_path / "w.csv", content), map_=map_)
    assert result.counts == {"ok": 2, "missing_profile": 1}
    assert result.pairs == [(17850, 7), (17850, 8)]


def test_one_row_of_the_future(tmp_path: Path) -> None:
    """That row is rejected."""
    rows = "".join(f"{i},1,2025-11-01T00:00:00Z\n" for i in range(100))
    path = text(tmp_path / "w.csv", "u,t,ts\n" + rows + "999,1,2036-01-01T00:00:00Z\n")
    result = take(path, map_=(*PLAIN[:2], "event_time=ts:iso"))
    assert result.counts == {"ok": 100, "future": 1}
    later = NOW_MS + 3_800 * 86_400_000
    assert take(path, map_=(*PLAIN[:2], "event_time=ts:iso"), now_ms=later).counts["ok"] == 101


def test_names_that_look_like_patterns(tmp_path: Path) -> None:
    """Every file read exactly once."""
    names = ["pair/e1.parquet", "pair/e[1].parquet", "alone/events[1].parquet",
             "colon/e_12:00.parquet", "in-brackets/drop[2025]/e.parquet"]  # fmt: skip
    for n, name in enumerate(names):
        parquet(tmp_path / name, {**GOOD, "u": [100 * n + i for i in range(3)]})
    text(tmp_path / "underscore" / "_e.csv", f"u,t,ms\n1001,7,{MS}\n1002,7,{MS}\n")
    text(tmp_path / "underscore" / "good.csv", f"u,t,ms\n1003,7,{MS}\n")
    profiles = sorted(u for u, _ in take(tmp_path).pairs)
    assert profiles == sorted(
        [100 * n + i for n in range(5) for i in range(3)] + [1001, 1002, 1003]
    )
    for name in names:
        assert len(take(tmp_path / name).pairs) == 3
