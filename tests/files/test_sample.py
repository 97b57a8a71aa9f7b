"""Look first: a mapping that is wrong is refused before any file is read to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from impressions.core.errors import MappingError
from tests.files.support import MS, NOW_MS, parquet, take, text

DAY = 86_400_000
REST = ("profile_id=u", "title_id=t")


def table(n: int, **columns: Any) -> dict[str, Any]:
    return {"u": [1] * n, "t": [2] * n, "ms": [MS] * n, **columns}


@pytest.mark.parametrize(
    ("unit", "value", "found", "hint"),
    [
        ("s", MS, "about the year", "the numbers look like ms: --map event_time=at:ms"),
        ("ms", MS // 1000, "1970-01-21", "the numbers look like s"),
        ("ms", MS * 1000, "about the year", "the numbers look like us"),
        ("us", MS * 10**6, "about the year", "the numbers look like ns"),
        ("ns", MS, "1970-01-01", "the numbers look like ms"),
        ("ms", 12, "1970-01-01", "--yes"),
    ],
)
@pytest.mark.parametrize("n", [1, 30])
def test_the_unit_that_fits_is_named(
    tmp_path: Path, unit: str, value: int, found: str, hint: str, n: int
) -> None:
    """However few the rows are."""
    path = parquet(tmp_path / "e.parquet", table(n, at=[value] * n))
    with pytest.raises(MappingError, match=rf"e\.parquet: column 'at'.*{found}") as caught:
        take(path, map_=(*REST, f"event_time=at:{unit}"))
    assert caught.value.reason == "implausible_time"
    assert hint in (caught.value.hint or "")


def test_the_ingest_time_is_looked_at_too(tmp_path: Path) -> None:
    """Beside an event time that fits."""
    path = parquet(tmp_path / "e.parquet", table(3, got=[MS] * 3))
    with pytest.raises(MappingError, match="for ingest_time in us: the median would be 1970"):
        take(path, map_=(*REST, "event_time=ms:ms", "ingest_time=got:us"), ingest=None)


def test_times_of_which_none_can_be_read(tmp_path: Path) -> None:
    """One of them is shown, and how a pattern is written."""
    path = text(tmp_path / "e.csv", "u,t,at\n1,2,01.11.2025\n1,2,\n")
    with pytest.raises(
        MappingError, match=r"none of its 1 values can be read as iso, such as '01\.1"
    ):
        take(path, map_=(*REST, "event_time=at:iso"))
    assert take(path, map_=(*REST, "event_time=at:strptime(%d.%m.%Y)")).counts == {
        "ok": 1, "missing_event_time": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("n", "bad", "stops"), [(20, 11, True), (20, 10, False), (19, 19, False), (3000, 1001, False)]
)
def test_more_than_half_for_one_reason(tmp_path: Path, n: int, bad: int, stops: bool) -> None:
    """Of the first 1,000 rows, and of 20 at least: of few each is read by a person anyway."""
    titles = ["x" if i < bad else "7" for i in range(n)]
    titles = titles if n < 1000 else titles[::-1]
    content = "".join(f"1,{title},{MS}\n" for title in titles)
    path = text(tmp_path / "e.csv", "u,t,ms\n" + content)
    if not stops:
        assert take(path).counts["bad_title"] == bad
        return
    with pytest.raises(MappingError, match=r"e\.csv: 11 of the first 20 rows.*bad_title") as caught:
        take(path)
    assert caught.value.reason == "mostly_rejected"
    assert 'row 0 (from 0) is {"u": "1", "t": "x"' in caught.value.message
    assert "--map title_id=t; names need :hash; if it is meant: --yes" in (caught.value.hint or "")
    assert take(path, look=False).counts == {"bad_title": 11, "ok": 9}


def test_rows_of_another_width_than_the_header(tmp_path: Path) -> None:
    """As where a table is written with its row names, and a header without."""
    path = text(tmp_path / "e.csv", "u,t,ms\n" + f"1,1,7,{MS}\n" * 30)
    with pytest.raises(MappingError, match=r"30 of the first 30 rows.*undecodable") as caught:
        take(path)
    assert "as many fields in a row as in the header?" in (caught.value.hint or "")


def test_each_file_is_looked_at_and_the_first_rows_only(tmp_path: Path) -> None:
    """Small row groups together make a sample; what is wrong later is counted, not refused."""
    n = 4000
    late = [MS if i < 1000 else None for i in range(n)]
    good = parquet(tmp_path / "a.parquet", table(n, ms=late), row_group_size=7)
    assert take(good).counts == {"ok": 1000, "missing_event_time": 3000}
    early = [None if i < 600 else MS for i in range(n)]
    parquet(tmp_path / "b.parquet", table(n, ms=early), row_group_size=7)
    with pytest.raises(MappingError, match=r"b\.parquet: 600 of the first 1,000 rows"):
        take(tmp_path)


def test_old_and_future_rows_name_the_time(tmp_path: Path) -> None:
    """A reason of times points at the column of the time."""
    path = parquet(tmp_path / "e.parquet", table(30, ms=[NOW_MS + 2 * DAY] * 30))
    with pytest.raises(MappingError, match="rejected: future") as caught:
        take(path)
    assert "--map event_time=ms:ms" in (caught.value.hint or "")
