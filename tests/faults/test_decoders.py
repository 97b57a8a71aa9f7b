"""Every decoder of bytes from outside: errors of ours and no others, whatever it is given.

The targets are those of `make fuzz` (tests/fuzz); what a fuzzer found stays here, in hex.
"""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impressions.core.errors import ImpressionsError
from tests.faults.size import scaled
from tests.fuzz.targets import TARGETS

DECODERS = pytest.mark.parametrize("name", list(TARGETS))

# Found by atheris, or by reading: before the fix each of them raised what stands beside it.
DELTA_HEAD = "01440305f4c1a68a"
_GOOD = TARGETS["profile_block"].seeds()[0].hex()
ITEMS_AS_FLOATS = _GOOD[:64] + "84" + _GOOD[66:]
FOUND = [
    ("delta_block", DELTA_HEAD + "0080d35492010080d3549201ffffffffffffff9500000400000000000000"
     "000000000002000000090000000000000000000000000000400201010188"),  # OverflowError
    ("profile_block", ITEMS_AS_FLOATS),  # no error: numbers that nobody had written
    ("mapping", b"a = ".hex() + "5b" * 3000),  # RecursionError
    ("mapping", b"a = ".hex() + "39" * 5000),  # ValueError of int
    ("mapping", "ff"),
]  # fmt: skip


def outcome(target, data):
    """The error of ours, None for good bytes; any other exception fails the test."""
    found = None
    try:
        target.run(data)
    except ImpressionsError as error:
        found = error
    assert found is None or found.message.isprintable(), repr(found)
    return found


@DECODERS
def test_good_bytes_are_read(name):
    """Or everything below would prove nothing."""
    target = TARGETS[name]
    assert [outcome(target, seed) for seed in target.seeds()] == [None] * len(target.seeds())


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once_is_a_typed_error(name, data):
    assert outcome(TARGETS[name], bytes.fromhex(data)) is not None


@DECODERS
@settings(max_examples=scaled(60, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(noise=st.binary(max_size=300), seed=st.integers(0, 2**32))
def test_nonsense_is_a_typed_error(name, noise, seed):
    """Noise; a good one with noise thrown in, cut, or flipped; each of them also sealed again, so
    that the outside is right and the inside is not."""
    target, rng = TARGETS[name], random.Random(seed)
    good = rng.choice(target.seeds())
    at, flipped = rng.randrange(len(good)), bytearray(good)
    flipped[at] ^= 1 << rng.randrange(8)
    refused = 0
    for data in (noise, good[:at] + noise + good[at:], good[:at], bytes(flipped), good):
        refused += outcome(target, data) is not None
        refused += outcome(target, target.reseal(data, rng)) is not None
    assert refused > 0 or name in ("record", "mapping")


@pytest.mark.parametrize("name", ["manifest", "pointer", "loaded"])
def test_a_right_seal_around_a_wrong_value_is_refused(name):
    """Of many single changes under a right checksum most are refused; the rest are other values of
    the right kind."""
    target, rng, refused = TARGETS[name], random.Random(7), 0
    (good,) = target.seeds()
    for _ in range(400):
        refused += outcome(target, target.reseal(good, rng)) is not None
    assert refused > 300
