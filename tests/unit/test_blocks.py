"""Profile and delta blocks: golden bytes, round trips, and refusal of everything else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core.errors import CorruptData, FormatVersionError
from impressions.core.impressions import Impressions
from impressions.core.item import pack
from impressions.core.rows import Rows, empty_rows
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock
from tests import summed_blocks

SPEC = Spec()
CUTOVER_MS = 20_000 * DAY_MS

GOLDEN = Path(__file__).parents[1] / "golden"
"""The bytes of the format, as hex."""


def rows(titles, last_seen_ms, impressions=1.0, played=True):
    """Rows whose sums count up from 0.5 in steps of 0.5, so that every float32 is exact; only the
    last title was played, or all of them."""
    n = len(titles)
    sums = np.arange(1, 15 * n + 1, dtype=np.float64).reshape(3, 5, n) / 2
    totals = np.full((3, n), impressions)
    if not played:
        totals[1, :-1] = sums[1, :, :-1] = 0
    return Rows(
        pack(np.array(titles, np.int64), np.full(n, 3)),
        np.array(last_seen_ms, np.int64),
        totals,
        sums,
    )


def block():
    """Two titles seen a day and an hour before the cutover, one of them played; one tail row of the
    oldest day."""
    body = rows([5, 70_000], [CUTOVER_MS - DAY_MS, CUTOVER_MS - 3_600_000], played=False)
    tail = rows([5], [(20_000 - 364) * DAY_MS + 1])
    return profile_block.encode(CUTOVER_MS, body, tail, np.array([20_000 - 364]), SPEC)


def delta():
    """Title 5 seen at the start of the slot, and once before; title 6 a millisecond later, played
    for 70.001 seconds."""
    seen = Impressions(
        pack(np.array([5, 5, 6]), np.full(3, 3)),
        CUTOVER_MS + np.array([0, -70_000, 1]),
        np.array([[0, 0, 1], [0.25, 0, 70.001]]),
    )
    return DeltaBlock(CUTOVER_MS, 4, 1_000, np.array([9, 2**62], np.int64), seen)


def summed_delta():
    """A block of version 2: two titles, one of them played."""
    seen = rows([5, 6], [CUTOVER_MS, CUTOVER_MS + 1], played=False)
    log_ids = np.array([9, 2**62], np.int64)
    return summed_blocks.encode(CUTOVER_MS, 4, 1_000, log_ids, seen, SPEC)


def test_a_header_is_read_without_its_rows():
    """What a copy compares: all that follows may be missing or damaged."""
    data = delta_block.encode(delta(), SPEC)
    header = delta_block.header(data, SPEC)
    assert (header.epoch, header.offset, header.slot_start_ms) == (4, 1_000, CUTOVER_MS)
    assert (header.rows, header.logs, header.newest_ms) == (3, 2, CUTOVER_MS + 1)
    assert delta_block.header(data[:48], SPEC) == header
    for bad in (b"", data[:20], b"\x01" + data[1:], data[:1] + b"P" + data[2:]):
        with pytest.raises(CorruptData):
            delta_block.header(bad, SPEC)
    with pytest.raises(CorruptData, match="spec"):
        delta_block.header(data, Spec(slot_ms=3_600_000))


@pytest.mark.parametrize(
    ("name", "encoded", "decode"),
    [
        ("profile_block_v2", block(), profile_block.decode),
        ("delta_block_v3", delta_block.encode(delta(), SPEC), delta_block.decode),
        ("delta_block_v2", summed_delta(), delta_block.decode),
    ],
)
def test_golden_bytes(name, encoded, decode):
    """The layout of a version does not move."""
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())
    assert encoded.hex() == golden.hex()
    decode(golden, SPEC)


def test_profile_block_round_trip():
    """What went in comes out: float32 exactly where the numbers fit, the tail by its day."""
    decoded = profile_block.decode(block(), SPEC)
    body = decoded.rows()
    assert decoded.reference_ms == CUTOVER_MS
    assert body.last_seen_ms.tolist() == [CUTOVER_MS - DAY_MS, CUTOVER_MS - 3_600_000]
    went_in = rows([5, 6], [0, 0], played=False)
    assert body.totals.tolist() == went_in.totals.tolist() == [[1, 1], [0, 1], [1, 1]]
    assert body.sums == pytest.approx(went_in.sums, rel=3e-7)
    assert body.sums[:, 1:].tolist() == went_in.sums[:, 1:].tolist()
    assert decoded.rows(np.array([1])).sums.tolist() == body.sums[..., 1:].tolist()
    assert len(decoded.tail_from(20_000 - 364)) == 1
    assert len(decoded.tail_from(20_000 - 363)) == 0


def test_delta_block_round_trip():
    """Everything of a delta block survives."""
    found = delta_block.decode(delta_block.encode(delta(), SPEC), SPEC)
    assert (found.slot_start_ms, found.epoch, found.offset) == (CUTOVER_MS, 4, 1_000)
    assert found.log_ids.tolist() == [9, 2**62]
    assert found.items.tolist() == [5 << 8 | 3, 5 << 8 | 3, 6 << 8 | 3]
    assert (found.impressions.event_ms - CUTOVER_MS).tolist() == [0, -70_000, 1]
    assert found.impressions.added.tolist() == [[0, 0, 1], [0.25, 0, 70.001]]


def test_an_impression_carries_no_sums_and_its_row_has_them():
    """They follow from its time and its values, to the bit."""
    block = delta_block.decode(delta_block.encode(delta(), SPEC), SPEC)
    found = block.rows(SPEC)
    weights = np.exp2([-70_000 / (h * DAY_MS) for h in SPEC.half_lives_days])
    assert found.totals.tolist() == [[1, 1, 1], [0, 0, 1], [0.25, 0, 70.001]]
    assert found.sums[0, :, 0].tolist() == [1, 1, 1, 1, 1]
    assert found.sums[0, :, 1].tolist() == weights.tolist()
    assert found.sums[2, :, 2].tolist() == (70.001 * found.sums[0, :, 2]).tolist()


def test_a_block_of_version_2_is_read():
    """Its rows as they were summed; it has no single impressions."""
    block = delta_block.decode(summed_delta(), SPEC)
    assert (block.epoch, block.offset, block.log_ids.tolist()) == (4, 1_000, [9, 2**62])
    assert len(block.impressions) == 0
    assert block.rows(SPEC).sums.tolist() == rows([5, 6], [0, 0], played=False).sums.tolist()


@pytest.mark.parametrize(
    ("titles", "age_ms", "dwell_s", "size"),
    [
        ([1, 200], 0, [0.25, 0.1], 2 + 1 + 1 + 1),  # 250 thousandths
        ([1, 60_000], 60_000, [65.535, 1], 3 + 2 + 1 + 2),
        ([1, 2**20], 4 * 3_600_000, [65.536, 1], 4 + 3 + 1 + 3),
        ([1, 2**30], DAY_MS, [1e6, 1], 5 + 4 + 1 + 4),
        ([1, 2**40], 300 * DAY_MS, [0.0001, 1], 8 + 5 + 1 + 8),  # no thousandth
        ([1, 2], 0, [1e9, 1], 2 + 1 + 1 + 5),
    ],
)
def test_columns_are_as_wide_as_their_largest_value(titles, age_ms, dwell_s, size):
    """Item, age, played and dwell; two impressions."""
    seen = Impressions(
        pack(np.array(titles), np.zeros(2, np.int64)),
        CUTOVER_MS + DAY_MS - np.array([0, age_ms]),
        np.array([[1, 0], dwell_s]),
    )
    data = delta_block.encode(DeltaBlock(CUTOVER_MS, 1, 1, np.array([1]), seen), SPEC)
    assert len(data) == delta_block.HEADER_BYTES + 8 + 4 + 2 * size
    found = delta_block.decode(data, SPEC).impressions
    assert found.items.tolist() == seen.items.tolist()
    assert found.event_ms.tolist() == seen.event_ms.tolist()
    assert found.added.tolist() == seen.added.tolist()


def test_what_no_worker_writes_is_refused():
    """Items that go down, an event behind the slot, a code of another kind of column."""
    good = delta()
    swapped = good.impressions.take(np.array([2, 0]))
    later = Impressions(swapped.items[1:], np.array([CUTOVER_MS + DAY_MS + 300_001]),
                        swapped.added[:, 1:])  # fmt: skip
    for wrong in (swapped, later):
        block = DeltaBlock(CUTOVER_MS, 4, 1_000, good.log_ids, wrong)
        with pytest.raises(CorruptData):
            delta_block.decode(delta_block.encode(block, SPEC), SPEC)
    data, codes = delta_block.encode(good, SPEC), delta_block.HEADER_BYTES + 16
    for column, wrong_code in ((0, 0x41), (1, 0x88), (2, 0x88), (3, 1), (3, 0x48), (0, 0)):
        at = codes + column
        with pytest.raises(CorruptData, match="column codes"):
            delta_block.decode(data[:at] + bytes([wrong_code]) + data[at + 1 :], SPEC)


def test_a_title_that_was_never_played_has_no_sums_of_plays():
    """20 bytes less a row in a generation."""
    titles, none = list(range(100)), np.array([], int)
    played, seen = (
        len(profile_block.encode(CUTOVER_MS, of, empty_rows(SPEC), none, SPEC))
        for of in (rows(titles, [CUTOVER_MS - 1] * 100, played=p) for p in (True, False))
    )
    assert played - seen == 99 * 20


def test_large_totals_take_wider_columns():
    """70,000 impressions of a title need 4 bytes each, 2^40 need 8; both come back exactly."""
    for impressions in (255.0, 256.0, 70_000.0, 2.0**32, 2.0**40):
        body = rows([1], [CUTOVER_MS - 1], impressions)
        data = profile_block.encode(CUTOVER_MS, body, empty_rows(SPEC), np.array([], int), SPEC)
        assert profile_block.decode(data, SPEC).rows().totals[0].tolist() == [impressions]


def test_another_format_version_is_refused_with_both_numbers():
    """A block of version 1 says so before anything else is read."""
    with pytest.raises(FormatVersionError, match="version 1, expected 2"):
        profile_block.decode(b"\x01" + block()[1:], SPEC)
    with pytest.raises(FormatVersionError, match="version 1, expected 3"):
        delta_block.decode(b"\x01" + delta_block.encode(delta(), SPEC)[1:], SPEC)


def test_another_spec_is_refused():
    """The same measures with another slot length are another spec."""
    other = Spec(slot_ms=3_600_000)
    with pytest.raises(CorruptData, match="spec"):
        profile_block.decode(block(), other)
    with pytest.raises(CorruptData, match="spec"):
        delta_block.decode(delta_block.encode(delta(), SPEC), other)


def test_every_truncation_is_refused():
    """No prefix of a block is a block."""
    data, live = block(), delta_block.encode(delta(), SPEC)
    for end in range(len(data)):
        with pytest.raises(CorruptData):
            profile_block.decode(data[:end], SPEC)
    for whole in (live, summed_delta()):
        for end in range(len(whole)):
            with pytest.raises(CorruptData):
                delta_block.decode(whole[:end], SPEC)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_only_the_typed_error(data, with_header):
    """Garbage, with or without a valid start, is CorruptData and nothing else."""
    for decode, start in (
        (profile_block.decode, block()[:8]),
        (delta_block.decode, delta_block.encode(delta(), SPEC)[:8]),
    ):
        with pytest.raises(CorruptData):
            decode(start + data if with_header else data, SPEC)


def test_a_large_profile_takes_at_most_80_bytes_a_row():
    """1,500 rows of 32-bit titles over a year: header and columns together."""
    rng = np.random.default_rng(1)
    titles = np.sort(rng.choice(2**32, 1500, replace=False))
    last_seen_ms = CUTOVER_MS - rng.integers(0, 365 * DAY_MS, 1500)
    body = Rows(
        pack(titles, rng.integers(0, 256, 1500)),
        last_seen_ms,
        rng.integers(1, 400, (3, 1500)).astype(float),
        rng.random((3, 5, 1500)),
    )
    data = profile_block.encode(CUTOVER_MS, body, empty_rows(SPEC), np.array([], int), SPEC)
    assert len(data) / 1500 <= 80
