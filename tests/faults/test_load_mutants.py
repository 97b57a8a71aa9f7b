"""Torn and rotten files: every mutant is refused before anything can be activated.

Counts are asserted, so a mutation that never happened cannot make a test green.
"""

import hashlib

import pytest

from bulkload.load import load
from impressions.core.errors import Refused
from impressions.formats.generation_paths import MANIFEST
from tests.bulkload.world import EVENTS, NEW, NEW_MS
from tests.generations import blocks_of

STRIDE = 97


def refusals(world, path, mutants):
    """Write each mutant over the file and load; how many there were, and reason -> refusals."""
    good, reasons, tried = path.read_bytes(), {}, 0
    before = world.snapshot()
    for mutant in mutants(good):
        assert mutant != good
        path.write_bytes(mutant)
        tried += 1
        try:
            load(world.settings, NEW)
        except Refused as error:
            reasons[error.reason] = reasons.get(error.reason, 0) + 1
    path.write_bytes(good)
    assert world.snapshot() == before
    return tried, reasons


def flips(data):
    """One bit flipped, at every 97th byte, another bit each time; the last byte too."""
    positions = [*range(0, len(data), STRIDE), len(data) - 1]
    for number, position in enumerate(positions):
        yield data[:position] + bytes([data[position] ^ 1 << number % 8]) + data[position + 1 :]


def truncations(data):
    """Cut at every sixteenth, nothing at all included."""
    for sixteenth in range(16):
        yield data[: len(data) * sixteenth // 16]


@pytest.fixture
def two_files(world):
    """NEW with an SST file of some kilobytes per shard."""
    return world.publish(NEW_MS, blocks=blocks_of(EVENTS, NEW_MS))


def test_a_flipped_bit_anywhere_in_an_sst_file_is_refused(world, two_files):
    """100 % by its checksum; then the good file loads."""
    for file in two_files.files:
        tried, reasons = refusals(world, world.published / NEW / file.path, flips)
        assert tried >= 50
        assert reasons == {"wrong_checksum": tried}
    assert load(world.settings, NEW).action == "loaded"


def test_a_flipped_bit_anywhere_in_the_manifest_is_refused(world, two_files):
    """100 %: by its seal, or because it is JSON no more."""
    tried, reasons = refusals(world, world.published / NEW / MANIFEST, flips)
    assert tried >= 10
    assert reasons == {"corrupt_manifest": tried}
    assert load(world.settings, NEW).action == "loaded"


def test_every_byte_of_the_manifest_counts(world):
    """Not only each 97th: one flip in every byte."""

    def all_flips(data):
        for i in range(len(data)):
            yield data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :]

    path = world.published / NEW / MANIFEST
    tried, reasons = refusals(world, path, all_flips)
    assert tried == path.stat().st_size
    assert reasons == {"corrupt_manifest": tried}


@pytest.mark.parametrize("which", ["sst", "manifest"])
def test_truncation_at_every_sixteenth_is_refused(world, two_files, which):
    """From nothing to fifteen sixteenths."""
    path = world.sst(NEW) if which == "sst" else world.published / NEW / MANIFEST
    reason = "wrong_size" if which == "sst" else "corrupt_manifest"
    assert refusals(world, path, truncations) == (16, {reason: 16})


def test_a_flip_in_a_row_is_refused_even_if_the_manifest_vouches_for_it(world, two_files):
    """Were the checksum taken from the damaged file, each block of rows still has its own."""
    path, file = world.sst(NEW), two_files.files[0]
    good, tried, reasons = path.read_bytes(), 0, {}
    last_block = blocks_of(EVENTS, NEW_MS)[int(file.max_key, 16)]
    for position in range(0, good.rindex(last_block) + len(last_block), STRIDE):
        mutant = bytearray(good)
        mutant[position] ^= 1 << tried % 8
        path.write_bytes(mutant)
        world.rewrite_file(NEW, 0, sha256=hashlib.sha256(mutant).hexdigest())
        tried += 1
        with pytest.raises(Refused) as caught:
            load(world.settings, NEW)
        reasons[caught.value.reason] = reasons.get(caught.value.reason, 0) + 1
    assert tried >= 50
    assert sum(reasons.values()) == tried
    assert set(reasons) <= {"corrupt_store", "not_ingested"}
