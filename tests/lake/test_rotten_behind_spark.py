"""What Java says of a rotten file, as an error with the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from batch.spark.errors import rotten_files_named
from impressions.core.errors import CorruptData
from impressions.settings.model import Settings
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of

JAVA = "An error occurred: org.apache.parquet: could not verify page integrity, CRC checksum"


def test_the_file_is_found_and_named(tmp_path: Path) -> None:
    """Exit 4 with its name; where every file is well, or it is about something else, the error
    itself."""
    settings = Settings(home=tmp_path)
    bring_in(settings, file_of(tmp_path / "1.parquet", [one_row(user=1, batch=1)]))
    with pytest.raises(RuntimeError, match="page integrity"), rotten_files_named(settings):
        raise RuntimeError(JAVA)
    raw = tables.require(settings, tables.RAW, hint="")
    (file,) = live_files(raw, snapshots.main_id(raw))
    path = local_path(file.path)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="heap"), rotten_files_named(settings):
        raise RuntimeError("Java heap space")
    with pytest.raises(CorruptData, match=path.name), rotten_files_named(settings):
        raise RuntimeError(JAVA)
