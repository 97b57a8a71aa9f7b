"""Which files nobody needs: two kinds of evidence for each."""

from __future__ import annotations

from batch.housekeeping.files import not_listed, store_runs_behind, unneeded
from batch.lake.needed_files import key_of
from batch.lake.stored_files import StoredFile
from batch.lake.times_in_names import new_name, time_in
from impressions.core.spec import DAY_MS

OLD_MS = 100 * DAY_MS


def file(name: str, modified_ms: int | None = 0) -> StoredFile:
    return StoredFile(f"s3://lake/t/{name}", f"lake/t/{name}", 1, modified_ms)


def names(files: tuple[StoredFile, ...]) -> list[str]:
    return [one.key.removeprefix("lake/t/") for one in files]


def test_a_file_that_a_removed_snapshot_named_goes_and_one_that_is_named_still_stays():
    both, freed = file("a.parquet"), file("b.parquet", OLD_MS + 1)
    found = unneeded([both, freed], {both.key, freed.key}, {both.key}, OLD_MS)
    assert (names(found.freed), names(found.orphans)) == (["b.parquet"], [])


def test_a_file_that_nothing_ever_named_goes_when_it_is_old():
    files = [file("old.parquet", OLD_MS), file("young.parquet", OLD_MS + 1), file("x.avro", None)]
    assert names(unneeded(files, set(), set(), OLD_MS).orphans) == ["old.parquet"]
    assert unneeded(files, set(), set(), None).orphans == ()


def test_a_name_that_says_it_is_young_outweighs_the_store():
    """A store whose clock is years behind calls everything old that is written now."""
    old, young = new_name(OLD_MS), new_name(OLD_MS + 1)
    files = [file(f"{name}.parquet", 0) for name in (old, young)]
    assert names(unneeded(files, set(), set(), OLD_MS).orphans) == [f"{old}.parquet"]


def test_what_is_no_file_of_a_table_is_left():
    files = [file("notes.txt"), file("version-hint.text"), file("_SUCCESS")]
    found = unneeded(files, {files[0].key}, set(), OLD_MS)
    assert (found.freed, found.orphans) == ((), ())


def test_needed_files_that_the_listing_lacks_are_named():
    """Those that lie elsewhere cannot be in it."""
    there = file("a.parquet")
    needed = [there.key, "lake/t/b.parquet", "lake/tt/c.parquet", "other/d.parquet"]
    assert not_listed([there], "lake/t", needed) == ["lake/t/b.parquet"]


def test_a_store_that_runs_behind_the_commits_is_found_out():
    """One that runs ahead makes files young: nothing is lost by that."""
    near, far = file("near.avro", 10 * DAY_MS), file("far.avro", 10 * DAY_MS)
    stamps = {near.key: 11 * DAY_MS, far.key: 11 * DAY_MS + 1}
    assert store_runs_behind([near], stamps) is None
    assert store_runs_behind([near, far], stamps) == (far.key, DAY_MS + 1)
    assert store_runs_behind([near], {near.key: 0}) is None


def test_spellings_of_one_location_are_one_key():
    local = {"file:/a/b#c", "file:///a/b#c", "/a/b#c"}
    assert {key_of(one) for one in local} == {"/a/b#c"}
    assert {key_of(one) for one in ("s3://b/k", "s3a://b/k")} == {"b/k"}


def test_names_say_when_they_were_made():
    at_ms = 1_795_984_441_411
    assert time_in(f"s3://lake/{new_name(at_ms)}.parquet") == at_ms
    assert time_in("0d1b6f2a-7e0a-4f0e-9d58-b0a8f1c7f001.parquet") is None
    assert time_in(f"{new_name(at_ms)}/part.parquet") is None
    assert len({new_name(at_ms) for _ in range(1000)}) == 1000
