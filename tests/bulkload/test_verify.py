"""verify finds what rotted after a load, and what is wrong where it is published."""

import pytest

from bulkload.load import load
from bulkload.verify import verify_host, verify_published
from impressions.core.errors import NotReady, Refused
from impressions.formats.generation_paths import MANIFEST
from tests.bulkload.world import NEW, OLD

STRIDE = 97


@pytest.fixture
def loaded(world):
    load(world.settings, NEW)
    return world


def test_a_good_generation_verifies(loaded):
    """Every file, byte and row was looked at; the default is the active one."""
    report = verify_host(loaded.settings, NEW)
    size_bytes = sum(file.size_bytes for file in loaded.manifest(NEW).files)
    assert (report.ok, report.exit_code, report.problems) == (True, 0, ())
    assert (report.files, report.size_bytes, report.profiles) == (2, size_bytes, 24)
    assert verify_host(loaded.settings, None).generation == OLD


def test_one_flipped_bit_anywhere_in_a_loaded_file_is_found(loaded):
    """Every 97th byte of every SST file of the store, filters and footers included."""
    tried = detected = 0
    for path in sorted(loaded.paths.store(NEW).glob("*/*.sst")):
        good = path.read_bytes()
        for number, i in enumerate(range(0, len(good), STRIDE)):
            path.write_bytes(good[:i] + bytes([good[i] ^ 1 << number % 8]) + good[i + 1 :])
            report = verify_host(loaded.settings, NEW)
            tried += 1
            detected += report.exit_code == 4 and path.name in report.problems[0].message
        path.write_bytes(good)
    assert detected == tried >= 100
    assert verify_host(loaded.settings, NEW).ok


def test_a_missing_file_is_named_as_the_manifest_names_it(loaded):
    """RocksDB's file numbers mean nothing to a person."""
    next(loaded.paths.store(NEW).glob("*/*.sst")).unlink()
    report = verify_host(loaded.settings, NEW)
    assert report.exit_code == 4
    names = {file.path for file in loaded.manifest(NEW).files}
    assert any(name in problem.message for problem in report.problems for name in names)


@pytest.mark.parametrize("record", ["manifest.json", "loaded.json"])
def test_a_damaged_record_is_found(loaded, record):
    """Exit 4, and the name of the file."""
    path = loaded.paths.generation(NEW) / record
    path.write_bytes(path.read_bytes().replace(b"2026", b"2027", 1))
    report = verify_host(loaded.settings, NEW)
    assert (report.exit_code, report.problems[0].reason) == (4, "corrupt")
    assert record in report.problems[0].message


def test_records_of_another_generation_are_found(loaded):
    """Both are sealed and good, but they are OLD's."""
    for record in ("manifest.json", "loaded.json"):
        data = (loaded.paths.generation(OLD) / record).read_bytes()
        (loaded.paths.generation(NEW) / record).write_bytes(data)
    report = verify_host(loaded.settings, NEW)
    assert f"holds records of {OLD}" in report.problems[0].message


def test_a_wrong_digest_of_the_exporter_is_found(world):
    """The digest covers keys and values, whatever the file's own bytes are."""
    world.rewrite_file(NEW, 1, digest="0" * 64)
    load(world.settings, NEW)
    report = verify_host(world.settings, NEW)
    assert [problem.reason for problem in report.problems] == ["wrong_digest"]
    assert world.manifest(NEW).files[1].path in report.problems[0].message


def test_one_shard_of_a_host_verifies(world):
    """Only this host's files are expected."""
    settings = world.with_host(shards="1")
    load(settings, NEW)
    report = verify_host(settings, NEW)
    assert (report.ok, report.files) == (True, 1)


def test_nothing_active_and_nothing_loaded_say_what_to_do(empty):
    """Too early, not damaged."""
    with pytest.raises(NotReady, match="no generation is active"):
        verify_host(empty.settings, None)
    with pytest.raises(NotReady, match="not loaded"):
        verify_host(empty.settings, NEW)


def test_published_files_are_verified_where_they_are(world):
    """Nothing is written on this host; every bad file is named, with exit 7."""
    assert verify_published(world.settings, None).generation == NEW
    before = world.snapshot()
    for index in (0, 1):
        sst = world.sst(NEW, index)
        data = bytearray(sst.read_bytes())
        data[500] ^= 4
        sst.write_bytes(data)
    report = verify_published(world.settings, NEW)
    assert (report.exit_code, [p.reason for p in report.problems]) == (7, ["wrong_checksum"] * 2)
    assert world.snapshot() == before


def test_a_published_manifest_that_is_damaged_is_refused(world):
    """There is nothing to compare files with."""
    path = world.published / NEW / MANIFEST
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(Refused) as caught:
        verify_published(world.settings, NEW)
    assert caught.value.reason == "corrupt_manifest"
