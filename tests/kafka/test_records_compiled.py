"""The compiled reader of records is the plain one: equal batches, for any bytes."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impressions.compiled import loading
from impressions.compiled.flushes import reader
from impressions.formats.device_flushes import Columns, Unreadable, read_plain
from impressions.formats.flush_framing import log_ranges, record_of
from impressions.kafka.decoded_batch import decode
from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord
from tests.faults.size import scaled
from tests.kafka.test_records import (
    GOOD,
    INGEST_MS,
    SPEC,
    field,
    in_pieces,
    log,
    message,
    record,
    varint,
)

pytest.importorskip("numba")
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))

int64s = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 2**55, INGEST_MS]))
uint32s = st.integers(0, 2**32 - 1)
texts = st.sampled_from(["", "tv", "8.1", "Gerät", "電視"])
COLUMNS = {  # number, wire type and bytes of one value
    "title_ids": (4, 1, int64s, lambda v: v.to_bytes(8, "little", signed=True)),
    "locations": (5, 5, uint32s, lambda v: v.to_bytes(4, "little")),
    "rows": (6, 5, uint32s, lambda v: v.to_bytes(4, "little")),
    "positions": (7, 5, uint32s, lambda v: v.to_bytes(4, "little")),
    "event_time_ms": (8, 1, int64s, lambda v: v.to_bytes(8, "little", signed=True)),
    "played": (9, 0, st.sampled_from([0, 1, 1, 0, 2, 127, 128, 2**63]), varint),
    "dwell_s": (10, 1, st.floats(), lambda v: np.float64(v).tobytes()),
}
unknown = st.sampled_from(
    [field(11, 0, b"\x05"), field(4, 0, b"\x05"), field(99, 2, b"\x01x"), field(12, 3, b"\x64"),
     field(1, 5, b"abcd"), field(16, 1, bytes(8))]
)  # fmt: skip


@st.composite
def columns(draw, n: int) -> list[bytes]:
    """The fields of n impressions: usually packed and whole, else in pieces, or not packed."""
    parts = []
    for name, (number, wire_type, values, to_bytes) in COLUMNS.items():
        if name in ("rows", "positions") and draw(st.booleans()):
            continue
        ragged = draw(st.sampled_from([0] * 30 + [1, -1]))
        drawn = draw(st.lists(values, min_size=max(0, n + ragged), max_size=max(0, n + ragged)))
        sent = [to_bytes(value) for value in drawn]
        form = draw(st.sampled_from(["whole"] * 12 + ["split", "single"]))
        if form == "single":
            parts += [field(number, wire_type, one) for one in sent]
        elif form == "split":
            at = draw(st.integers(0, len(sent)))
            parts += [message(number, b"".join(half)) for half in (sent[:at], sent[at:])]
        elif sent or draw(st.booleans()):
            parts.append(message(number, b"".join(sent)))
    return parts


@st.composite
def logs(draw) -> bytes:
    """A log in any form that protobuf allows, and some that it does not."""
    parts = draw(columns(draw(st.integers(0, 4))))
    if draw(st.integers(0, 9)):
        parts.append(field(1, 1, draw(st.integers(0, 2**64 - 1)).to_bytes(8, "little")))
    if draw(st.integers(0, 9)):
        parts.append(field(2, 0, varint(draw(st.sampled_from([1, 5, 2**62, 2**64 - 1])))))
    for _ in range(draw(st.integers(0, 2))):
        device = [message(1, draw(texts).encode()), message(2, draw(texts).encode())]
        parts.append(message(3, b"".join(device[: draw(st.integers(0, 2))])))
    if not draw(st.integers(0, 9)):
        parts.append(draw(st.one_of(unknown, st.just(message(3, message(1, b"\xff"))))))
    if draw(st.booleans()):
        parts = draw(st.permutations(parts))
    return b"".join(parts)


@st.composite
def values(draw) -> bytes | None:
    """A record of such logs, perhaps with fields between them, damaged, or none at all."""
    parts = [message(1, one) for one in draw(st.lists(logs(), max_size=4))]
    if not draw(st.integers(0, 5)):
        parts.insert(draw(st.integers(0, len(parts))), draw(unknown))
    data = b"".join(parts)
    rng = random.Random(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["as it is"] * 4 + ["flipped", "cut", "inserted", "none"]))
    at = rng.randrange(len(data) + 1)
    if kind == "flipped" and data:
        at %= len(data)
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == "cut":
        return data[:at]
    if kind == "inserted":
        return data[:at] + rng.randbytes(rng.randrange(1, 8)) + data[at:]
    return None if kind == "none" else data


def assert_same(found: Columns, expected: Columns) -> None:
    """Bit for bit: a NaN is one."""
    assert found.unreadable == expected.unreadable
    assert found.texts() == expected.texts()
    for each in fields(Columns):
        if each.name not in ("unreadable", "texts"):
            one, other = getattr(found, each.name), getattr(expected, each.name)
            assert one.dtype == other.dtype, each.name
            assert one.tobytes() == other.tobytes(), each.name


def test_there_is_a_compiled_reader_here():
    """Or everything below would compare the plain one with itself."""
    assert reader() is not read_plain


@pytest.mark.slow
@settings(QUIET, max_examples=scaled(400, 5_000))
@given(st.lists(values(), max_size=4))
def test_the_compiled_columns_are_the_plain_ones(drawn):
    """In any form, damaged or not."""
    assert_same(reader()(drawn), read_plain(drawn))


@settings(QUIET, max_examples=scaled(100, 1_000))
@given(st.lists(values(), max_size=4))
def test_the_compiled_batch_is_the_plain_one(drawn):
    """With its reasons, texts and all."""
    ingest_ms = np.full(len(drawn), INGEST_MS)
    one, other = (decode(drawn, ingest_ms, 0, 2, SPEC, compiled=way) for way in (True, False))
    for name in ("flush", "ingest_ms", "reason", "counted_ms", "log_id", "record", "log_index"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert (one.read, one.unreadable) == (other.read, other.unreadable)
    assert (one.device_type, one.app_version) == (other.device_type, other.app_version)


@settings(QUIET, max_examples=scaled(300, 5_000))
@given(values())
def test_a_record_is_read_as_the_public_class_reads_it(value):
    """What it takes whole has the same logs here; what it refuses has something unreadable."""
    try:
        expected = None if value is None else ImpressionRecord.FromString(value)
    except DecodeError:
        expected = None
    if expected is None:
        assert read_plain([value]).unreadable
    else:
        ranges, _ = log_ranges(value)
        found = [ImpressionLog.FromString(value[start:end]) for start, end in ranges]
        assert [f.SerializeToString() for f in found] == [
            e.SerializeToString() for e in expected.logs
        ]


@settings(QUIET, max_examples=scaled(300, 5_000))
@given(st.binary(max_size=60), st.lists(st.sampled_from(b"\x0a\x00\x0b\x0c\x13\x14\x10\x02\x80")))
def test_noise_is_refused_alike(noise, pieces):
    """Groups and lengths that lead nowhere among it."""
    drawn = [noise, bytes(pieces), b"\x0b" + bytes(pieces) + b"\x0c"]
    assert_same(reader()(drawn), read_plain(drawn))


@pytest.mark.parametrize("depth", [1, 99, 100, 101])
def test_groups_are_passed_over_as_deep_as_protobuf_does(depth):
    """A hundred in one another, and not one more."""
    value = b"\x13" * depth + b"\x14" * depth + record(log())
    found = reader()([value])
    assert_same(found, read_plain([value]))
    assert len(found.record) == (depth <= 100)


def test_odd_flushes_keep_their_places():
    """More of them than there is room for at first, between logs of the usual form."""
    odd = log(8, device={"type": "Gerät"})
    value = record(*[log(), odd] * 100)
    found = reader()([value, in_pieces(log(9), False), record(log())])
    assert found.log_id.tolist() == [7, 8] * 100 + [9, 7]
    assert found.log_index.tolist() == [*range(200), 0, 0]
    assert found.texts()[0][:2] == ["", "Gerät"]
    assert found.unreadable == []


def test_unreadable_flushes_and_records_come_in_order():
    ragged = log(dwell_s=[1.0]).SerializeToString()
    value = record_of(ragged) + record(log()) + record_of(b"\xff")
    expected = [Unreadable(0, None), Unreadable(1, 0), Unreadable(1, 2), Unreadable(2, None)]
    assert reader()([None, value, b"\xff"]).unreadable == expected


def test_without_numba_it_is_the_plain_one(monkeypatch):
    """Slower, and the same."""
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    assert reader.__wrapped__() is read_plain
    batch = decode([record(log())], np.array([INGEST_MS]), 0, 1, SPEC, compiled=False)
    assert batch.title_id.tolist() == GOOD["title_ids"]


def test_where_nothing_can_be_compiled_it_is_the_plain_one(monkeypatch):
    """Whatever numba raises there."""

    def fail(name):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(loading, "import_module", fail)
    assert reader.__wrapped__() is read_plain
