"""A home that was copied or moved is named, before a commit goes into the original."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batch.status.lake import read_lake
from impressions.core.errors import Refused
from impressions.settings.model import Settings
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of, rows


def test_a_copied_home_is_refused_and_the_original_goes_on(tmp_path: Path) -> None:
    original = Settings(home=tmp_path / "home", partitions=4)
    path = file_of(tmp_path / "a.parquet", [one_row()])
    bring_in(original, path)
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    copy = Settings(home=tmp_path / "copy", partitions=4)
    other = file_of(tmp_path / "b.parquet", [one_row(batch=9)])
    with pytest.raises(Refused) as refused:
        bring_in(copy, other)
    assert refused.value.reason == "home_moved"
    with pytest.raises(Refused, match="this home was copied or moved"):
        read_lake(copy)  # what `status` shows of the tables
    assert len(rows(original)) == 1
    assert bring_in(original, other).counts["applied"] == 1
