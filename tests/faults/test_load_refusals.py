"""What must not be loaded is refused with its own reason, and the host is as before."""

import hashlib
import shutil

import pytest

from bulkload.activate import activate
from bulkload.files import free_bytes
from bulkload.load import load
from bulkload.load_checks import STORE_OVERHEAD_BYTES
from impressions.core.errors import Refused
from impressions.core.spec import Spec
from impressions.formats import sealed
from impressions.formats.generation_paths import MANIFEST
from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD, OLD_MS
from tests.generations import blocks_of


def refused(world, reason, generation=NEW, settings=None):
    """Load, expect this reason, and prove that nothing on the host changed."""
    before = world.snapshot()
    with pytest.raises(Refused) as caught:
        load(settings or world.settings, generation)
    error = caught.value
    assert (error.reason, error.exit_code) == (reason, 7), error.message
    assert error.hint
    assert world.snapshot() == before
    assert world.active() == OLD
    return error.message


def test_no_manifest(world):
    """A directory without a manifest is no generation."""
    (world.published / NEW / MANIFEST).unlink()
    assert "manifest.json: not found" in refused(world, "missing_manifest")


def test_a_manifest_of_another_format(world):
    """Sealed, but by a version this code does not read."""
    path = world.published / NEW / MANIFEST
    body = sealed.unseal(path.read_bytes(), "m")
    path.write_bytes(sealed.seal({**body, "format": 9}))
    assert "format version 9, expected 1" in refused(world, "format_version")


def test_an_edited_manifest(world):
    """A number changed by hand: the seal is broken."""
    path = world.published / NEW / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"profiles":24', b'"profiles":25'))
    assert "damaged or edited" in refused(world, "corrupt_manifest")


@pytest.mark.parametrize(
    ("reason", "fields", "actual", "expected"),
    [
        ("wrong_spec", {"spec_fingerprint": "00ff"}, "00ff", Spec().fingerprint),
        ("wrong_partitions", {"partitions": 16}, "partitions 16", "2"),
        ("wrong_partitioner", {"partitioner": "crc32"}, "crc32", "murmur2_be64"),
    ],
)
def test_made_with_other_numbers(world, reason, fields, actual, expected):
    """Wrong spec, P or partitioner: both values in the message."""
    world.rewrite(NEW, **fields)
    message = refused(world, reason)
    assert actual in message
    assert expected in message


def test_a_directory_under_another_name(world):
    """A copy of OLD named NEW is not NEW."""
    shutil.rmtree(world.published / NEW)
    shutil.copytree(world.published / OLD, world.published / NEW)
    assert f"names generation {OLD}" in refused(world, "wrong_generation")


def test_a_cutover_that_is_not_the_name(world):
    """The name is the cutover, or one of them is wrong."""
    world.rewrite(NEW, cutover_ms=OLD_MS)
    assert OLD in refused(world, "wrong_generation")


@pytest.mark.parametrize(
    "path", ["shard=0/../../x.sst", "/etc/passwd", "shard=1/00000-a.sst", "shard=0/a/b.sst"]
)
def test_a_path_that_leaves_its_shard(world, path):
    """A path of a manifest is not followed anywhere else."""
    world.rewrite_file(NEW, 0, path=path)
    assert path in refused(world, "corrupt_manifest")


def test_a_missing_file(world):
    """Named in the message."""
    sst = world.sst(NEW, 1)
    sst.unlink()
    assert sst.name in refused(world, "missing_file")


@pytest.mark.parametrize(("change", "word"), [(-1, "truncated"), (+1, "too long")])
def test_a_file_of_another_length(world, change, word):
    """One byte short or long: both sizes in the message."""
    sst = world.sst(NEW)
    data = sst.read_bytes()
    sst.write_bytes(data[:change] if change < 0 else data + b"\0")
    message = refused(world, "wrong_size")
    assert word in message
    assert f"{len(data) + change} bytes, expected {len(data)}" in message


def test_an_empty_file(world):
    """Zero bytes."""
    world.sst(NEW).write_bytes(b"")
    assert "0 bytes" in refused(world, "wrong_size")


def test_a_zeroed_file(world):
    """The right length, nothing but zeros."""
    sst = world.sst(NEW)
    sst.write_bytes(bytes(sst.stat().st_size))
    assert sst.name in refused(world, "wrong_checksum")


def test_two_files_in_each_others_place(world):
    """Both are good files, of this generation even."""
    one, other = world.sst(NEW, 0), world.sst(NEW, 1)
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    refused(world, "wrong_size" if len(a) != len(b) else "wrong_checksum")


def test_two_swapped_files_that_the_manifest_vouches_for(world):
    """An exporter that mixed up its shards: every key is looked at, so it shows."""
    files = world.manifest(NEW).files
    for index, other in ((0, files[1]), (1, files[0])):
        world.rewrite_file(
            NEW, index, rows=other.rows, size_bytes=other.size_bytes, sha256=other.sha256,
            min_key=other.min_key, max_key=other.max_key, digest=other.digest,
        )  # fmt: skip
    one, other = world.sst(NEW, 0), world.sst(NEW, 1)
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    assert "is of shard" in refused(world, "wrong_keys")


def test_two_swapped_files_under_their_own_key_ranges(world):
    """All rows are there, and none where a get looks: in the database of its shard."""
    one, other = world.sst(NEW, 0), world.sst(NEW, 1)
    a, b = one.read_bytes(), other.read_bytes()
    for index, path, data in ((0, one, b), (1, other, a)):
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        world.rewrite_file(NEW, index, size_bytes=len(data), sha256=sha256)
    message = refused(world, "wrong_keys")
    assert "shard=0: key" in message
    assert "is of shard 1" in message


def test_a_file_of_another_generation(world):
    """The same shard's file of the week before, a perfectly good one."""
    one, other = world.sst(OLD), world.sst(NEW)
    same_size = one.stat().st_size == other.stat().st_size
    shutil.copy(one, other)
    refused(world, "wrong_checksum" if same_size else "wrong_size")


def test_a_file_of_another_generation_that_the_manifest_vouches_for(world):
    """Each block contains the cutover that it is relative to."""
    shutil.copy(world.sst(OLD), world.sst(NEW))
    old = world.manifest(OLD).files[0]
    world.rewrite_file(NEW, 0, sha256=old.sha256, size_bytes=old.size_bytes)
    assert f"cutover {OLD_MS}, expected {NEW_MS}" in refused(world, "wrong_cutover")


def test_more_rows_than_the_manifest_says(world):
    """One row too few in the manifest: both counts in the message."""
    rows = world.manifest(NEW).files[0].rows
    world.rewrite_file(NEW, 0, rows=rows - 1)
    world.rewrite(NEW, profiles=23)
    assert f"{rows} rows, expected {rows - 1}" in refused(world, "wrong_rows")


def test_files_that_do_not_add_up_to_the_profiles(world):
    """Refused before a byte is copied."""
    world.rewrite(NEW, profiles=25)
    assert "24 rows, expected 25 profiles" in refused(world, "wrong_rows")


@pytest.mark.parametrize("field", ["min_key", "max_key"])
def test_a_key_range_that_is_not_the_files(world, field):
    """Wider than the rows: both ranges in the message."""
    wider = {"min_key": "00" * 8, "max_key": "7f" + "ff" * 7}[field]
    world.rewrite_file(NEW, 0, **{field: wider})
    assert wider in refused(world, "wrong_keys")


def test_key_ranges_that_overlap(empty):
    """Two files of a shard claim the same keys."""
    manifest = empty.publish(OLD_MS)
    load(empty.settings, OLD)
    activate(empty.settings, OLD)
    manifest = empty.publish(NEW_MS, files_per_shard=2)
    empty.rewrite_file(NEW, 0, max_key=manifest.files[1].min_key)
    assert "overlap" in refused(empty, "wrong_keys")


def test_a_block_that_does_not_decode(world):
    """Written so, sealed so, but no profile block."""
    blocks = blocks_of(EVENTS, NEW_MS)
    blocks[min(blocks)] = b"not a block"
    world.publish(NEW_MS, blocks=blocks)
    assert "profile block" in refused(world, "corrupt_block")


def test_a_block_of_another_spec(world):
    """The manifest names our spec, the block another."""
    other = Spec(half_lives_days=(1, 7, 30, 180, 366))
    world.publish(NEW_MS, blocks=blocks_of(EVENTS, NEW_MS, other))
    assert f"expected {Spec().tag:08x}" in refused(world, "corrupt_block")


def test_a_file_that_is_no_sst_file(world):
    """The manifest vouches for bytes that RocksDB does not know."""
    data = b"parquet, perhaps" * 100
    world.sst(NEW).write_bytes(data)
    world.rewrite_file(NEW, 0, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert "RocksDB does not take" in refused(world, "not_ingested")


def test_a_disk_that_is_too_small(world):
    """Both numbers in the message; nothing was copied."""
    free = free_bytes(world.settings.host_dir)
    settings = world.with_host(reserve_bytes=free)
    message = refused(world, "disk_too_small", settings=settings)
    need = sum(file.size_bytes for file in world.manifest(NEW).files)
    shown, expected = (int(word) for word in message.split() if word.isdigit() and len(word) > 6)
    assert abs(shown - free) < free / 10
    assert expected >= free + need


def test_room_is_counted_for_this_hosts_shards_only(world):
    """With a reserve that leaves room for one file and not for both, one shard fits."""
    world.rewrite_file(NEW, 0, size_bytes=1 << 40)
    reserve = free_bytes(world.settings.host_dir) - (64 << 20) - STORE_OVERHEAD_BYTES
    refused(world, "disk_too_small", settings=world.with_host(reserve_bytes=reserve))
    fits = world.with_host(reserve_bytes=0, shards=str(world.manifest(NEW).files[1].shard))
    assert load(fits, NEW).action == "loaded"


def test_a_dry_run_refuses_as_well(world):
    """Sizes are looked at without copying."""
    world.sst(NEW).write_bytes(b"short")
    with pytest.raises(Refused) as caught:
        load(world.settings, NEW, dry_run=True)
    assert caught.value.reason == "wrong_size"
