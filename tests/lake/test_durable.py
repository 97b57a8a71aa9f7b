"""On a local warehouse nothing is committed before the disk has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch.lake import locations
from impressions.settings.model import Settings
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of, files


def test_every_file_and_directory_is_forced_to_the_disk_before_the_catalog_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data files, manifests, lists and metadata; then the catalog's pointer moves."""
    settings = Settings(home=tmp_path / "home", partitions=4)
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    bad = one_row(video=-1)
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row(), bad]))
    warehouse = tmp_path / "home" / "warehouse"
    written = [path for path in warehouse.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} == {".parquet", ".avro", ".json"}
    assert [path for path in written if str(path) not in synced] == []
    directories = {str(path.parent) for path in written}
    assert directories - set(synced) == set()


def test_the_commit_comes_after_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog swaps its pointer once everything that it will name has been synced."""
    from pyiceberg.catalog.sql import SqlCatalog

    settings = Settings(home=tmp_path / "home", partitions=4)
    events: list[str] = []
    fsync, commit = os.fsync, SqlCatalog.commit_table

    def noted(descriptor: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix)
        fsync(descriptor)

    def committing(self: SqlCatalog, *given: object) -> object:
        events.append("commit begins")
        done = commit(self, *given)
        events.append("committed")
        return done

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(SqlCatalog, "commit_table", committing)
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row()]))
    begins = events.index("commit begins")
    assert ".parquet" in events[:begins]
    assert ".avro" in events[:begins]
    assert ".json" in events[begins : events.index("committed")]


@pytest.mark.parametrize("name", ["a#b", "a?b", "100%", "a%20b", "with space", "ü"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Locations are no URIs: no sign in them is an escape, a query or a fragment."""
    settings = Settings(home=tmp_path / name, partitions=4)
    report = bring_in(settings, file_of(tmp_path / "e.parquet", [one_row()]))
    assert report.counts["applied"] == 1
    (file,) = files(settings)
    assert locations.local_path(file.path).is_relative_to(tmp_path / name)
    assert not bring_in(settings, str(tmp_path / "e.parquet")).changed


def test_an_object_store_has_no_local_path() -> None:
    assert locations.local_path("s3://bucket/a") is None
    assert locations.local_path("file:/a/b") == locations.local_path("file:///a/b") == Path("/a/b")
