"""A record of a run: what is written is read, and what no record is, is refused."""

from __future__ import annotations

import json

import pytest

from impressions.core.errors import CorruptData
from impressions.history.run_record import HEALED, MAX_BYTES, HistoryEvent, decode, encode
from tests.history.records import START_MS, record


def test_a_record_is_read_as_it_was_written() -> None:
    """Every field, events included."""
    one = record(
        exit_code=7, reason="partitions", error="found 4, expected 8", changed=True,
        arguments={"again": True}, counts={"rows": 3}, snapshots={"raw": 9}, extra={"a": [1]},
        cpu_s=0.5, events=(HistoryEvent(HEALED, START_MS, "short import completed", "e.csv"),),
    )  # fmt: skip
    assert decode(encode(one), "x") == one
    assert not one.succeeded


def test_fields_of_a_newer_version_are_left_aside() -> None:
    """A record of version 2 with a field nobody knows here is read."""
    newer = json.loads(encode(record())) | {"version": 2, "mood": "good"}
    newer["events"] = [{"kind": "k", "at_ms": 1, "what": "w", "who": "me"}]
    assert decode(json.dumps(newer).encode(), "x").events == (HistoryEvent("k", 1, "w"),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"started_ms": "now"}, "started_ms: found 'now'"),
        ({"exit_code": True}, "exit_code: found True"),
        ({"events": [7]}, "events.0: found 7: Input should be an object"),
        ({"counts": {"rows": "many"}}, "rows.*: found 'many'"),
        ({"counts": {"rows": 1 << 70}}, "rows.*: found 1180591620717411303424"),
        ({"counts": {"rows": float("inf")}}, "expected value"),
        ({"snapshots": {"raw": 1.5}}, "raw: found 1.5"),
        ({"ended_ms": 10**17}, "ended_ms: found 100000000000000000"),
        ({"started_ms": -1}, "started_ms: found -1"),
    ],
)
def test_what_is_not_of_its_type_is_no_record(change: dict[str, object], says: str) -> None:
    """One wrong field is enough."""
    data = json.dumps(json.loads(encode(record())) | change).encode()
    with pytest.raises(CorruptData, match=says):
        decode(data, "x")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 20)])
def test_bytes_that_are_no_record(data: bytes) -> None:
    """Cut, empty, another shape, too many: CorruptData, never another error."""
    with pytest.raises(CorruptData, match="x: "):
        decode(data, "x")


def test_a_long_report_is_left_out_not_the_record() -> None:
    """What does not fit is named; the rest stays."""
    data = encode(record(counts={"rows": 3}, extra={"findings": ["x" * 1000] * 1000}))
    assert len(data) <= MAX_BYTES
    assert json.loads(data)["left_out"] == ["extra"]
    assert decode(data, "x").counts == {"rows": 3}


def test_a_run_never_takes_less_than_no_time() -> None:
    """A clock that stepped back during the run makes no negative duration."""
    assert record(seconds=-5).seconds == 0
