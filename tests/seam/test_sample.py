"""Which profiles are compared: all of a small generation, and by seeks of a large one."""

from contextlib import closing
from random import Random

import pytest

from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.deltas.store import open_primary
from impressions.formats.generation_paths import shard_dir
from impressions.formats.manifest import SstFile
from impressions.rocksdb import generation_store
from impressions.seam import sample
from impressions.seam.sample import chosen, from_deltas, from_generation
from tests.deltas.support import blocks_of as delta_blocks_of
from tests.generations import SPEC, blocks_of
from tests.seam.support import events_of

SEED = 5
PROFILES = range(1000, 3000, 2)


def test_active_profiles_come_in_turn_with_random_ones():
    """The ones with the most rows; if time runs out, both kinds were compared."""
    rows = {profile: profile for profile in range(100)}
    found = chosen(rows, 3, 2, Random(SEED))
    assert found[:3:2] == [99, 98]
    assert len(set(found)) == 5
    assert chosen(rows, 3, 2, Random(SEED)) == found
    assert sorted(chosen({1: 1, 2: 2}, 3, 2, Random(SEED))) == [1, 2]
    assert chosen(rows, 0, 0, Random(SEED)) == []


@pytest.fixture(scope="module")
def generation(tmp_path_factory):
    """A shard of 1,000 profiles in two files; (store, files)."""
    root = tmp_path_factory.mktemp("generation")
    blocks = blocks_of(events_of(SEED, PROFILES))
    profiles = sorted(blocks)
    paths, files = [], []
    for number, part in enumerate((profiles[:100], profiles[100:])):
        path = root / f"{number}.sst"
        writer = generation_store.sst_writer(path)
        for profile in part:
            writer[profile_key(profile)] = blocks[profile]
        writer.finish()
        ends = [profile_key(profile).hex() for profile in (part[0], part[-1])]
        paths.append(path)
        files.append(SstFile(0, path.name, len(part), 1, *ends, "", ""))
    generation_store.create(root / "db", {0: paths})
    assert (root / "db" / shard_dir(0)).is_dir()
    with closing(generation_store.open_read_only(root / "db", [0])) as store:
        yield store, files


def test_a_large_shard_is_sought_and_not_scanned(generation, monkeypatch):
    """As many rows are read as keys are drawn; they come from both files."""
    store, files = generation
    read = []
    block_rows = sample.profile_block.row_count
    monkeypatch.setattr(
        sample.profile_block, "row_count", lambda data: read.append(1) or block_rows(data)
    )
    found = from_generation(store, 0, files, 200, Random(SEED))
    assert len(read) == 200
    assert 150 < len(found) <= 200
    assert min(found) < 1200 < max(found)
    assert set(found) <= set(PROFILES)
    assert min(found.values()) > 0


def test_a_small_shard_is_read(generation):
    """Every profile is a candidate, so a small system is compared as a whole."""
    store, files = generation
    assert len(from_generation(store, 0, files, 2_000, Random(SEED))) == 1_000


@pytest.mark.parametrize(("keys", "everything"), [(4, False), (1_000, True)])
def test_profiles_of_the_stream_fall_to_their_shards(tmp_path, keys, everything):
    """A profile that only the stream has can be drawn; a few by seeks, all of a small copy."""
    with closing(open_primary(tmp_path / "store")) as store:
        store.write(delta_blocks_of(events_of(SEED, PROFILES), SPEC).items(), {})
        found = from_deltas(store, [0, 2], 4, keys, Random(SEED))
        assert set(found) == {0, 2}
        assert all(shard_of(profile, 4) == shard for shard in found for profile in found[shard])
        expected = [profile for profile in PROFILES if shard_of(profile, 4) in found]
        drawn = sum(map(len, found.values()))
        assert drawn == len(expected) if everything else 0 < drawn <= 8


def test_an_empty_copy_has_no_candidates(tmp_path):
    """Nothing was streamed yet."""
    with closing(open_primary(tmp_path / "store")) as store:
        assert from_deltas(store, [0], 4, 16, Random(SEED)) == {0: {}}
