"""Rows through a mapping: each with its reason, in the order in which they are asked."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from batch.mapping.grammar import read_mapping
from batch.mapping.judge import ABSENT, Judged, judge
from batch.mapping.rows import Rows
from impressions.core.event import ORDER, Reason
from impressions.core.spec import DAY_MS, Spec

T = 1_762_000_000_000
SPEC = Spec()
COLUMNS = {
    "profile_id": "user", "title_id": "video", "event_time": "seen:ms", "ingest_time": "got:ms",
    "log_id": "batch", "location": "tab", "row": "shelf", "position": "place", "played": "opened",
    "dwell_s": "watched", "device_type": "device", "app_version": "version",
}  # fmt: skip
GOOD: dict[str, Any] = {
    "user": 1, "video": 2, "seen": T - 5, "got": T, "batch": 3, "tab": 4, "shelf": 5, "place": 6,
    "opened": 1, "watched": 7.5, "device": "tv", "version": "1.0",
}  # fmt: skip


def judged(rows: list[dict[str, Any]], columns: dict[str, str] = COLUMNS, **options: Any) -> Judged:
    cells = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    pairs = [f"{target}={text}" for target, text in columns.items()]
    mapping = read_mapping(pairs, None, None if "ingest_time" in columns else "event", **options)
    found = Rows(np.arange(len(rows)), cells, np.zeros(len(rows), np.bool_), {})
    return judge(found, mapping, SPEC, T)


def reason(**change: Any) -> str:
    """Of a good row with a change, beside a good row."""
    texts = {name: str(value) for name, value in GOOD.items()}
    words = any(isinstance(value, str) for value in change.values())
    good = texts if words else GOOD
    found = judged([good, {**good, **change}])
    assert found.reason[0] == Reason.OK
    return Reason(int(found.reason[1])).label


def test_a_row_that_counts() -> None:
    """Every canonical column; an event that lies ahead counts with its ingest time."""
    ahead = {**GOOD, "seen": T + 600_000}
    found = judged([GOOD, ahead])
    assert found.reason.tolist() == [0, 0]
    names = ("profile_id", "title_id", "log_id", "location", "row", "position", "played", "dwell_s")
    assert [getattr(found, name)[0] for name in names] == [1, 2, 3, 4, 5, 6, True, 7.5]
    assert (found.event_ms.tolist(), found.ingest_ms.tolist()) == ([T - 5, T + 600_000], [T, T])
    assert found.counted_ms.tolist() == [T - 5, T]
    assert (found.device_type.to_pylist(), found.app_version.to_pylist()) == (
        ["tv"] * 2,
        ["1.0"] * 2,
    )
    assert found.defaulted == {}
    assert found.has_ingest.all()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user": None}, "missing_profile"), ({"user": "x"}, "bad_profile"),
        ({"user": -1}, "bad_profile"), ({"video": None}, "missing_title"),
        ({"video": "x"}, "bad_title"), ({"video": 2**55}, "bad_title"),
        ({"seen": None}, "missing_event_time"), ({"seen": "soon"}, "bad_event_time"),
        ({"got": None}, "missing_ingest_time"), ({"got": "soon"}, "bad_ingest_time"),
        ({"got": 946_684_799_999}, "bad_ingest_time"),
        ({"got": 4_102_444_800_000}, "bad_ingest_time"),
        ({"got": T + DAY_MS}, "ok"), ({"got": T + DAY_MS + 1}, "future"),
        ({"batch": None}, "missing_log_id"), ({"batch": "x"}, "bad_log_id"), ({"batch": 0}, "ok"),
        ({"tab": None}, "ok"), ({"tab": "home"}, "bad_location"), ({"tab": 256}, "bad_location"),
        ({"watched": None}, "ok"), ({"watched": "x"}, "bad_dwell"),
        ({"watched": -1.0}, "bad_dwell"), ({"watched": float("nan")}, "bad_dwell"),
        ({"watched": "inf"}, "bad_dwell"),
        ({"seen": T - 337 * DAY_MS}, "ok"), ({"seen": T - 337 * DAY_MS - 1}, "out_of_window"),
        ({"shelf": "x"}, "undecodable"), ({"shelf": 2**31}, "undecodable"),
        ({"place": "1.5"}, "undecodable"), ({"opened": "maybe"}, "undecodable"),
        ({"opened": 2}, "undecodable"), ({"opened": None}, "ok"),
        ({"user": "x", "video": None}, "missing_title"), ({"user": -1, "tab": 999}, "bad_profile"),
        ({"user": None, "shelf": "x"}, "undecodable"),
        ({"seen": None, "got": None}, "missing_event_time"),
        ({"got": T + 2 * DAY_MS, "tab": 999}, "bad_location"),
    ],
)  # fmt: skip
def test_each_reason_and_their_order(change: dict[str, Any], expected: str) -> None:
    """What is absent is not what cannot be read; the first that fails names the row."""
    assert reason(**change) == expected


def test_the_order_names_every_reason_of_a_row_once() -> None:
    """Numbers of reasons are names only."""
    whole = {Reason.OK, Reason.WRONG_PARTITION, Reason.TOO_LARGE}
    assert sorted(ORDER) == sorted(set(Reason) - whole)


def test_what_is_not_given() -> None:
    """Defaults, absent places, no logs; a negative place is none."""
    columns = {name: COLUMNS[name] for name in ("profile_id", "title_id", "event_time")}
    found = judged([{"user": 1, "video": 2, "seen": T}], columns)
    assert (found.row[0], found.position[0]) == (ABSENT, ABSENT)
    assert (found.log_id[0], found.location[0], found.dwell_s[0], found.played[0]) == (
        0,
        0,
        0,
        False,
    )
    assert found.device_type.to_pylist() == [None]
    gaps = {**GOOD, "tab": None, "device": None, "shelf": None, "place": -5}
    found = judged([GOOD, gaps, gaps])
    assert found.defaulted == {"location": 2, "device_type": 2, "row": 2}
    assert found.position.tolist() == [6, ABSENT, ABSENT]


def test_unreadable_values_are_safe_numbers() -> None:
    """Whoever looks at a rejected row finds -1, NaN or 0."""
    texts = {name: str(value) for name, value in GOOD.items()}
    bad = dict.fromkeys(texts, "?")
    found = judged([texts, bad])
    assert Reason(int(found.reason[1])) is Reason.UNDECODABLE
    values = (found.profile_id[1], found.title_id[1], found.location[1], found.event_ms[1])
    assert values == (-1, -1, -1, 0)
    assert (found.ingest_ms[1], found.has_ingest[1], np.isnan(found.dwell_s[1])) == (0, False, True)


def test_locations_by_name() -> None:
    """A text that has no number is a bad location; an absent one is 0."""
    columns = {**COLUMNS, "location": "tab"}
    rows = [{**GOOD, "tab": tab} for tab in ("home", " search ", "attic", None)]
    found = judged(rows, columns, locations=["home=0", "search=9"])
    assert found.location.tolist() == [0, 9, -1, 0]
    assert [Reason(r).label for r in found.reason.tolist()] == ["ok", "ok", "bad_location", "ok"]
    numbers = judged([{**GOOD, "tab": 12}], columns, locations=["12=200"])
    assert numbers.location.tolist() == [200]


def test_rows_as_they_stood_in_the_file() -> None:
    """The mapped columns as JSON; bounded, and saying so."""
    rows = [{**GOOD, "watched": float("nan")}, {**GOOD, "user": None, "device": "x" * 100_000}]
    found = judged(rows)
    first, second = found.shown(np.array([0, 1]))
    assert json.loads(first) == {**GOOD, "watched": "nan"}
    assert json.loads(second)["user"] is None
    assert json.loads(second)["device"].endswith("... (cut; 100,000 characters)")
    assert len(second) < 65_536
    assert found.shown(np.zeros(0, np.int64)) == []
