"""The heartbeat's bytes, pinned, and what is refused."""

from dataclasses import replace

import pytest

from impressions.core.errors import CorruptData, Refused
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat

SPEC = Spec()
BEAT = Heartbeat(
    3,
    8,
    1,
    bytes(range(16)),
    bytes(range(16, 32)),
    41,
    1_794_700_800_123,
    FROM_THE_FIRST_MS,
    1_794_700_801_000,
    1_799_884_801_000,
    40,
    -2,
)
BEFORE = (
    "0148" + SPEC.tag.to_bytes(4, "little").hex() + "03000000" + "08000000" + "01000000"
    "000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f" + "2900000000000000" + "7bf080dca1010000"
    "0000000000000080" + "e8f380dca1010000"
)
GOLDEN = "03" + BEFORE[2:] + "e8837e11a3010000" + "2800000000000000" + "feffffffffffffff"


def test_the_bytes_of_a_heartbeat_stay_as_they_are():
    assert heartbeat.encode(BEAT, SPEC).hex() == GOLDEN
    assert heartbeat.decode(bytes.fromhex(GOLDEN), SPEC) == BEAT


def test_a_heartbeat_of_the_version_before_knows_no_suspect_and_no_last_record():
    found = heartbeat.decode(bytes.fromhex(BEFORE), SPEC)
    assert found == replace(BEAT, suspect_ms=0, last_offset=-1, last_digest=0)


def test_version_2_has_the_same_fields():
    """It spoke of blocks of version 2 alone."""
    assert heartbeat.decode(bytes.fromhex("02" + GOLDEN[2:]), SPEC) == BEAT


def test_another_version_kind_or_length_is_refused():
    data = heartbeat.encode(BEAT, SPEC)
    with pytest.raises(Refused, match="version 4, expected 3") as caught:
        heartbeat.decode(b"\x04" + data[1:], SPEC)
    assert caught.value.reason == "format_version"
    with pytest.raises(CorruptData, match="kind 44, expected 48"):
        heartbeat.decode(b"\x02D" + data[2:], SPEC)
    for length in range(len(data)):
        with pytest.raises(CorruptData):
            heartbeat.decode(data[:length], SPEC)


def test_a_stream_of_another_spec_is_refused_with_both():
    other = Spec(slot_ms=DAY_MS // 24)
    with pytest.raises(Refused, match=f"{SPEC.tag:08x}, expected {other.tag:08x}"):
        heartbeat.decode(heartbeat.encode(BEAT, SPEC), other)
