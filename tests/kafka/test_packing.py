"""Packing: the bytes any language must write, when a record is full, and what has no bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core.errors import UsageError
from impressions.core.event import MAX_DWELL_S
from impressions.core.shard import shard_of
from impressions.core.spec import Spec
from impressions.kafka import decoded_batch
from impressions.kafka.record_packing import (
    Impression,
    Log,
    Packer,
    columns_message,
    log_message,
    pack,
)
from impressions.v1.impression_record_pb2 import ImpressionRecord
from tests.kafka import vectors

NOW_MS = 1_767_225_600_000


def one(**changes: Any) -> Impression:
    return Impression(**{"title_id": 5, "event_time_ms": NOW_MS, **changes})


@pytest.mark.parametrize("case", vectors.load(), ids=lambda case: case["about"])
def test_the_vectors_hold(case: dict[str, Any]) -> None:
    """Partition and bytes, as in the file that other languages test against."""
    assert vectors.records_of(case) == case["records"]


@pytest.mark.parametrize("case", vectors.load(), ids=lambda case: case["about"])
def test_the_vectors_are_what_protobuf_writes(case: dict[str, Any]) -> None:
    """Framing by hand and a whole message serialized at once are the same bytes."""
    for partition, value in case["records"].items():
        logs = [log_message(vectors.log_of(fields)) for fields in case["logs"]]
        mine = [g for g in logs if shard_of(g.profile_id, case["partitions"]) == int(partition)]
        assert ImpressionRecord(logs=mine).SerializeToString(deterministic=True).hex() == value


log_lists = st.lists(
    st.builds(
        Log,
        profile_id=st.integers(0, 2**63 - 1),
        log_id=st.integers(1, 2**63 - 1),
        device_type=st.sampled_from(["", "tv"]),
        impressions=st.lists(
            st.builds(
                Impression,
                title_id=st.integers(0, 2**55 - 1),
                event_time_ms=st.integers(NOW_MS - 10**9, NOW_MS),
                location=st.integers(0, 255),
                played=st.booleans(),
                dwell_s=st.floats(0, MAX_DWELL_S),
            ),
            min_size=1,
            max_size=5,
        ),
    ),
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(log_lists, st.integers(1, 9), st.integers(1, 400))
def test_what_is_packed_is_what_is_read(logs: list[Log], partitions: int, size: int) -> None:
    """Whatever the size of records: each impression once, in its partition, in order, and valid."""
    packer = Packer(record_bytes=size, linger_s=1)
    made = [r for log in logs for r in packer.add(pack(log_message(log), partitions), 0)]
    made += packer.drain()
    for partition in range(partitions):
        values = [record.value for record in made if record.partition == partition]
        ingest_ms = np.full(len(values), NOW_MS, np.int64)
        batch = decoded_batch.decode(values, ingest_ms, partition, partitions, Spec())
        expected = [
            (log.profile_id, log.log_id, e.title_id, e.location, e.event_time_ms, e.dwell_s)
            for log in logs
            if shard_of(log.profile_id, partitions) == partition
            for e in log.impressions
        ]
        columns = (batch.profile_id[batch.flush], batch.log_id[batch.flush], batch.title_id,
                   batch.location, batch.event_ms, batch.dwell_s)  # fmt: skip
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected
        assert not batch.reason.any()
    assert sum(record.logs for record in made) == len(logs)


def test_a_record_closes_when_full_or_old() -> None:
    """Before it would outgrow its size; by itself if it is larger; by the age of its first log."""
    small = pack(log_message(Log(7, 1, [one()])), 1)
    packer = Packer(record_bytes=len(small.data) * 2 + 1, linger_s=5)
    assert packer.add(small, 0) == []
    assert packer.add(small, 4) == []
    (full,) = packer.add(small, 4)
    assert (full.logs, full.impressions) == (2, 2)
    assert packer.due(8.9) == []
    (old,) = packer.due(9)
    assert (old.logs, packer.drain()) == (1, [])
    large = pack(log_message(Log(7, 1, [one()] * 9)), 1)
    assert [record.impressions for record in packer.add(large, 0)] == [9]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (Log(-1, 1, [one()]), r"profile_id -1: expected 0\.\."),
        (Log(2**63, 1, [one()]), "profile_id 9223372036854775808"),
        (Log(1, 0, [one()]), r"log_id 0: expected 1\.\."),
        (Log(1, 2**63, [one()]), "log_id 9223372036854775808"),
        (Log(1, 1, [one(title_id=2**63)]), "title_ids: .*range.*9223372036854775808"),
        (Log(1, 1, [one(location=-1)]), "locations: .*range.*-1"),
        (Log(1, 1, [one(row=2**32)] * 2), "rows: .*range.*4294967296"),
        (Log(1, 1, [one(row=1), one()]), "row: given for 1 of 2 impressions"),
    ],
)
def test_what_the_wire_cannot_hold_is_refused(log: Log, says: str) -> None:
    """With the name of the field and the value."""
    with pytest.raises(UsageError, match=says):
        log_message(log)


def test_columns_of_different_length_are_refused() -> None:
    """They would not decode at the other end."""
    with pytest.raises(UsageError, match="played has 1 entries, expected 2"):
        columns_message(1, 1, title_ids=[1, 2], event_time_ms=[1, 2], played=[True])
    with pytest.raises(UsageError, match="rows has 1 entries, expected 2"):
        columns_message(1, 1, title_ids=[1, 2], event_time_ms=[1, 2], rows=[3])


def test_columns_may_be_arrays() -> None:
    """A caller that has numpy columns need not turn them into lists."""
    arrays = columns_message(
        1,
        1,
        title_ids=np.array([5, 5]),
        event_time_ms=np.full(2, NOW_MS),
        rows=np.array([3, 4]),
        positions=np.array([0, 1]),
        locations=np.array([8, 9], np.int16),
        played=np.array([True, False]),
        dwell_s=np.array([0.5, 0]),
    )
    first = one(row=3, position=0, location=8, played=True, dwell_s=0.5)
    assert arrays == log_message(Log(1, 1, [first, one(row=4, position=1, location=9)]))
