"""Sealed files: manifest, pointer and load record refuse every changed byte."""

import dataclasses

import pytest

from impressions.core.errors import CorruptData, FormatVersionError, Refused, UsageError
from impressions.core.spec import PARTITIONER, Spec
from impressions.formats import generation_paths, manifest, pointer, sealed
from tests.generations import content_digest

SPEC = Spec()
FILE = manifest.SstFile(0, "shard=0/00000-a.sst", 2, 100, "00" * 8, "01" * 8, "ab" * 32, "cd" * 32)
MANIFEST = manifest.Manifest(
    generation="2026-11-15", cutover_ms=1_794_700_800_000, spec_fingerprint=SPEC.fingerprint,
    partitions=4, partitioner=PARTITIONER, raw_snapshot_id=1, ema_snapshot_id=2,
    profiles=2, entries=5, created_ms=3, files=(FILE,),
)  # fmt: skip


def test_a_manifest_round_trips():
    """Decoding gives what was encoded."""
    assert manifest.decode(manifest.encode(MANIFEST)) == MANIFEST


def test_accepted_findings_stand_in_a_manifest_that_has_any():
    """Without any, its bytes are those of before."""
    accepted = dataclasses.replace(MANIFEST, accepted=("2026-11-10-3fa9c1 by ann: a strike",))
    assert manifest.decode(manifest.encode(accepted)) == accepted
    assert b"accepted" not in manifest.encode(MANIFEST)


def test_what_was_compared_stands_in_a_manifest_that_has_it():
    """Without it, its bytes are those of before."""
    compared = dataclasses.replace(MANIFEST, compared="0 keys, sums by 2e-13 in shards 3")
    assert manifest.decode(manifest.encode(compared)) == compared
    assert b"compared" not in manifest.encode(MANIFEST)


@pytest.mark.parametrize(
    ("data", "decode"),
    [
        (manifest.encode(MANIFEST), manifest.decode),
        (pointer.Pointer("2026-11-15", "2026-11-08", 5).encode(),
         pointer.Pointer.decode),
        (pointer.Loaded("2026-11-15", (0, 1), 2, 5).encode(), pointer.Loaded.decode),
    ],
    ids=["manifest", "pointer", "loaded"],
)  # fmt: skip
def test_every_flipped_byte_is_refused(data, decode):
    """Each byte, its lowest and highest bit, and each truncation: CorruptData."""
    decode(data)
    for at in range(len(data)):
        for bit in (1, 128):
            with pytest.raises(CorruptData):
                decode(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        with pytest.raises(CorruptData):
            decode(data[:at])


def test_another_format_version_names_both():
    """A manifest of version 9 is refused with the command that rebuilds it."""
    data = sealed.seal({"format": 9})
    with pytest.raises(FormatVersionError, match="version 9, expected 1") as refused:
        manifest.decode(data)
    assert "export" in refused.value.hint


@pytest.mark.parametrize(
    ("change", "reason", "found", "expected"),
    [
        ({"spec_fingerprint": "0" * 16}, "wrong_spec", "0" * 16, SPEC.fingerprint),
        ({"partitions": 8}, "wrong_partitions", "8", "4"),
        ({"partitioner": "crc32"}, "wrong_partitioner", "crc32", PARTITIONER),
    ],
)
def test_a_generation_made_otherwise_is_refused_with_both_values(change, reason, found, expected):
    """The reader's spec, P and partitioner must be the writer's."""
    manifest.check_fits(MANIFEST, SPEC, 4)
    with pytest.raises(Refused) as refused:
        manifest.check_fits(dataclasses.replace(MANIFEST, **change), SPEC, 4)
    assert refused.value.reason == reason
    assert found in refused.value.message
    assert expected in refused.value.message


def test_generations_are_named_by_their_cutover():
    """A midnight is a date; inside a day the time follows, in characters every system takes."""
    assert generation_paths.generation_id(1_794_700_800_000) == "2026-11-15"
    assert generation_paths.generation_id(1_794_722_400_000) == "2026-11-15T06-00-00"
    assert generation_paths.cutover_of("2026-11-15T06-00-00") == 1_794_722_400_000
    assert generation_paths.ref_name("gen", 1_794_700_800_000) == "gen_2026_11_15"
    assert not generation_paths.is_generation("loading")
    with pytest.raises(UsageError):
        generation_paths.cutover_of("../../etc")


def test_a_content_digest_knows_where_a_key_ends():
    """("ab", "c") and ("a", "bc") are different contents."""
    one, other = (content_digest([pair]) for pair in ((b"ab", b"c"), (b"a", b"bc")))
    assert one != other
