"""Records as columns: every form protobuf allows is read, everything else is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impressions.core.event import Reason
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS, Spec
from impressions.formats.flush_framing import MAX_RECORD_LOGS, MAX_VALUE_BYTES, record_of
from impressions.kafka.decoded_batch import ABSENT, Unreadable, decode
from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord

SPEC = Spec()
INGEST_MS = 20_000 * DAY_MS
BOTH_WAYS = pytest.mark.parametrize("compiled", [True, False])
GOOD = {
    "title_ids": [5, 6],
    "locations": [1, 0],
    "event_time_ms": [INGEST_MS - 10, INGEST_MS],
    "played": [True, False],
    "dwell_s": [1.5, 0.0],
}


def log(log_id=7, profile_id=1, **columns) -> ImpressionLog:
    return ImpressionLog(log_id=log_id, profile_id=profile_id, **{**GOOD, **columns})


def record(*logs) -> bytes:
    return ImpressionRecord(logs=logs).SerializeToString()


def judged(*values, partition=0, partitions=1, compiled=True):
    ingest_ms = np.full(len(values), INGEST_MS)
    return decode(values, ingest_ms, partition, partitions, SPEC, compiled=compiled)


def reasons(batch):
    return [Reason(code).label for code in batch.reason]


def test_a_record_of_two_flushes_becomes_columns_in_flush_order():
    batch = judged(record(log(), log(8, 2, title_ids=[9, 9], rows=[3, 4])), record(log(9, 3)))
    assert batch.read == 6
    assert batch.record.tolist() == [0, 0, 1]
    assert batch.log_index.tolist() == [0, 1, 0]
    assert batch.flush.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.log_id.tolist() == [7, 8, 9]
    assert batch.title_id.tolist() == [5, 6, 9, 9, 5, 6]
    assert batch.row.tolist() == [ABSENT, ABSENT, 3, 4, ABSENT, ABSENT]
    assert batch.played.tolist() == [True, False] * 3
    assert reasons(batch) == ["ok"] * 6


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, wire_type: int, payload: bytes) -> bytes:
    return varint(number << 3 | wire_type) + payload


def message(number: int, payload: bytes) -> bytes:
    return field(number, 2, varint(len(payload)) + payload)


def in_pieces(of: ImpressionLog, packed: bool) -> bytes:
    """A log whose columns come one impression at a time, packed or not: legal protobuf."""
    out = field(1, 1, of.log_id.to_bytes(8, "little")) + field(2, 0, varint(of.profile_id))
    for i in range(len(of.event_time_ms)):
        columns = (
            (4, 1, of.title_ids[i].to_bytes(8, "little")),
            (5, 5, of.locations[i].to_bytes(4, "little")),
            (8, 1, of.event_time_ms[i].to_bytes(8, "little")),
            (9, 0, bytes([of.played[i]])),
            (10, 1, np.float64(of.dwell_s[i]).tobytes()),
        )
        for number, wire_type, value in columns:
            out += message(number, value) if packed else field(number, wire_type, value)
    return message(1, out)


@pytest.mark.parametrize("packed", [True, False])
def test_columns_in_pieces_or_unpacked_are_read_like_packed_ones(packed):
    """Protobuf allows both; a reader of bytes that overlooked them would lose impressions."""
    value = in_pieces(log(), packed)
    assert ImpressionRecord.FromString(value) == ImpressionRecord(logs=[log()])
    assert value != record(log())
    one, other = judged(value), judged(record(log()))
    assert one.read == other.read == 2
    assert one.title_id.tolist() == other.title_id.tolist()
    assert one.dwell_s.tolist() == other.dwell_s.tolist()


def test_what_holds_for_a_flush_holds_for_each_of_its_impressions():
    absent = log()
    absent.ClearField("profile_id")
    wrong = next(p for p in range(1, 99) if shard_of(p, 4) != shard_of(1, 4))
    batch = judged(
        record(absent, log(0), log(8, -1), log(9, wrong), log(10, 1)),
        partition=shard_of(1, 4),
        partitions=4,
    )
    expected = ["missing_profile", "missing_log_id", "bad_profile", "wrong_partition", "ok"]
    assert reasons(batch) == [word for word in expected for _ in range(2)]


def test_a_flush_of_more_than_ten_thousand_impressions_is_rejected():
    """What it adds must fit into one message of the delta topic."""

    def reasons_of(n):
        columns = {"title_ids": range(n), "locations": [0] * n, "event_time_ms": [INGEST_MS] * n}
        batch = judged(record(log(**columns, played=[True] * n, dwell_s=[0.0] * n)))
        return set(reasons(batch))

    assert reasons_of(10_000) == {"ok"}
    assert reasons_of(10_001) == {"too_large"}


def test_a_profile_has_at_most_fifty_thousand_impressions_in_one_record():
    """What goes beyond is rejected log by log; other profiles, and the next record, are not."""

    def of(profile_id, n):
        columns = {"title_ids": range(n), "locations": [0] * n, "event_time_ms": [INGEST_MS] * n}
        return log(7, profile_id, **columns, played=[True] * n, dwell_s=[0.0] * n)

    logs = [of(1, 10_000), of(2, 5), *[of(1, 10_000)] * 4, of(1, 1), of(2, 5), of(1, 3)]
    batch = judged(record(*logs), record(of(1, 1)))
    rejected = {int(i) for i in batch.flush[batch.reason == Reason.TOO_LARGE]}
    assert rejected == {6, 8}


def test_each_impression_is_judged_by_the_one_rule():
    columns = {
        "title_ids": [1, 1, 1, 1],
        "locations": [0, 256, 0, 0],
        "event_time_ms": [INGEST_MS + 600_000, INGEST_MS, INGEST_MS, INGEST_MS - 338 * DAY_MS],
        "played": [True] * 4,
        "dwell_s": [0.0, 0.0, float("nan"), 0.0],
    }
    batch = judged(record(log(**columns)))
    assert reasons(batch) == ["ok", "bad_location", "bad_dwell", "out_of_window"]
    assert batch.counted_ms[0] == INGEST_MS, "clamped"


def test_what_cannot_be_read_is_named_and_loses_nothing_else():
    ragged = log(dwell_s=[1.0])
    batch = judged(b"\xff\xff", record(ragged, log()), None, record(log()))
    assert batch.unreadable == [Unreadable(0, None), Unreadable(1, 0), Unreadable(2, None)]
    assert batch.read == 3 + 4
    assert reasons(batch) == ["ok"] * 4


def test_a_broken_text_costs_its_flush_alone():
    """The rest of the record counts."""
    broken = log(8, device={"type": "tv?"}).SerializeToString().replace(b"?", b"\xff")
    batch = judged(record(log()) + record_of(broken) + record(log(9)))
    assert batch.unreadable == [Unreadable(0, 1, Reason.UNDECODABLE)]
    assert batch.log_id.tolist() == [7, 9]
    assert batch.log_index.tolist() == [0, 2]


@BOTH_WAYS
def test_a_record_of_more_than_eight_mebibytes_is_not_looked_into(compiled):
    """Compressed it may have been a few KB; it is one rejected, and costs nothing."""
    good = record(log())
    largest = good + message(99, bytes(MAX_VALUE_BYTES - len(good) - 6))
    assert len(largest) == MAX_VALUE_BYTES
    for value in (largest + b"\x10\x00", b"\x0a\x00" * (32 << 20)):
        batch = judged(value, good, compiled=compiled)
        assert batch.unreadable == [Unreadable(0, None, Reason.TOO_LARGE)]
        assert batch.read == 1 + 2
    assert judged(largest, compiled=compiled).read == 2


@BOTH_WAYS
def test_a_record_has_at_most_a_hundred_thousand_flushes(compiled):
    """Empty ones, which hold nothing, among them."""
    full = record(log()) + b"\x0a\x00" * (MAX_RECORD_LOGS - 1)
    assert judged(full, compiled=compiled).read == 2
    batch = judged(full + b"\x0a\x00", compiled=compiled)
    assert batch.unreadable == [Unreadable(0, None, Reason.TOO_LARGE)]
    assert batch.read == 1


@BOTH_WAYS
def test_more_broken_flushes_than_a_record_can_hold_are_one_broken_record(compiled):
    """Three bytes each: a record of a few MB would become a million dead letters."""
    crumb = b"\x0a\x01\xff"
    held = record(log(dwell_s=[1.0]), log()) + crumb
    assert [u.log_index for u in judged(held, compiled=compiled).unreadable] == [0, 2]
    batch = judged(held + crumb * 9, record(log()), compiled=compiled)
    assert batch.unreadable == [Unreadable(0, None)]
    assert batch.record.tolist() == [1]


def test_a_flush_without_impressions_is_nothing():
    assert judged(record(ImpressionLog(log_id=1, profile_id=1))).read == 0
    assert judged(b"").read == 0


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_are_read_or_named(noise, insert):
    """Only typed outcomes, also for a good record with bytes thrown in."""
    good = record(log())
    at = len(insert) % len(good)
    for value in (noise, good[:at] + insert + good[at:], good[:at]):
        batch = judged(value)
        assert batch.read == len(batch.reason) + len(batch.unreadable)
