"""A block is sound for compiled code where it decodes, and only there."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.compiled import sound_blocks
from impressions.core.spec import DAY_MS, Spec
from impressions.formats.profile_block import HEADER_BYTES
from tests.blocks import profile_block_of
from tests.faults.size import scaled
from tests.faults.test_laws import CUTOVER_MS, accepted, logs

SPEC = Spec()


@pytest.fixture(scope="module")
def is_sound():
    return sound_blocks.by(sound_blocks.kernel(), SPEC)


def block_of(raw):
    return profile_block_of([e for _, e, a in accepted(raw) if a < CUTOVER_MS], CUTOVER_MS, SPEC)


@given(logs)
def test_every_block_is_sound_at_its_cutover_alone(is_sound, raw):
    """What the encoder makes is sound; beside another cutover it is not."""
    block = block_of(raw)
    assert is_sound(block, CUTOVER_MS)
    assert not is_sound(block, CUTOVER_MS + DAY_MS)


@settings(max_examples=scaled(100, 3_000), deadline=None)
@given(logs, st.integers(0, 2**32 - 1))
def test_damaged_bytes_are_sound_where_they_decode(is_sound, raw, seed):
    """Bits flipped, most often in the header and the first columns, and blocks cut short."""
    rng, block = random.Random(seed), bytearray(block_of(raw))
    for _ in range(rng.randint(1, 3)):
        near = min(len(block), rng.choice([HEADER_BYTES, HEADER_BYTES + 64, len(block)]))
        block[rng.randrange(near)] ^= 1 << rng.randrange(8)
    found = bytes(block[: rng.choice([len(block), rng.randrange(len(block) + 1)])])
    assert is_sound(found, CUTOVER_MS) == sound_blocks.decodes(found, CUTOVER_MS, SPEC)


def test_items_out_of_order_are_not_sound(is_sound):
    """The first two items of a block exchanged."""
    seen = [{"title": t, "location": 0, "event_ms": CUTOVER_MS - DAY_MS, "played": 0, "dwell_s": 1}
            for t in (1, 2)]  # fmt: skip
    block = bytearray(profile_block_of(seen, CUTOVER_MS, SPEC))
    width, start = block[HEADER_BYTES], HEADER_BYTES + 2 + len(SPEC.measures)
    items = np.frombuffer(block, f"<u{width}", 2, start)
    items[:] = items[::-1].copy()
    assert not is_sound(bytes(block), CUTOVER_MS)
    assert not sound_blocks.decodes(bytes(block), CUTOVER_MS, SPEC)


def test_few_blocks_are_decoded_and_many_compiled():
    """Compiled code is loaded only where that is the shorter way."""
    few, many = sound_blocks.is_sound(SPEC, 1), sound_blocks.is_sound(SPEC, 1_000_000)
    assert not few(b"", CUTOVER_MS)
    assert not many(b"", CUTOVER_MS)
    assert few.__qualname__ != many.__qualname__
