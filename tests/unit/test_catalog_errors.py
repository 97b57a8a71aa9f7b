"""A catalog that is away or damaged: an error with its exit code, in every verb, and no defect."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from batch.lake.catalog import open_catalog
from impressions.cli.main import build_app
from impressions.core.errors import CorruptData, ServiceError
from impressions.process.catalog_errors import as_catalog_error
from impressions.process.command import main
from impressions.settings.model import Settings
from impressions.settings.sections.batch import Catalog

pytest.importorskip("pyiceberg")
AWAY = ("--set", "catalog.type=rest", "--set", "catalog.uri=http://127.0.0.1:1")


def test_a_rest_catalog_that_is_down_is_named(tmp_path: Path) -> None:
    """Its name, its address and what to look at."""
    catalog = Catalog(name="lake", type="rest", uri="http://127.0.0.1:1")
    with pytest.raises(ServiceError, match=r"catalog lake at http://127\.0\.0\.1:1 does") as caught:
        open_catalog(Settings(home=tmp_path, catalog=catalog))
    assert caught.value.reason == "catalog"
    assert "catalog.uri" in (caught.value.hint or "")


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    """With the file's name."""
    (tmp_path / "catalog.db").write_bytes(b"this is no database " * 100)
    with pytest.raises(CorruptData, match=r"catalog\.db is damaged: .*not a database"):
        open_catalog(Settings(home=tmp_path))


@pytest.mark.parametrize(
    "verb",
    [
        ["close"],
        pytest.param(["compact", "--logical-date", "2026-11-15"], marks=pytest.mark.spark),
        ["status"],
    ],
)
def test_every_verb_exits_with_the_code_of_what_is_wrong(
    verb: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """8 away, 4 damaged; `status` calls a catalog elsewhere 7, and shows the rest."""
    monkeypatch.chdir(tmp_path)
    away = main(build_app(), [*verb, "--json", *AWAY], "impressions")
    assert away == (7 if verb == ["status"] else 8)
    said = capsys.readouterr().out
    assert "defect" not in said
    assert "does not answer as it should" in json.dumps(json.loads(said))
    (tmp_path / ".impressions").mkdir(exist_ok=True)
    (tmp_path / ".impressions" / "catalog.db").write_bytes(b"this is no database " * 100)
    assert main(build_app(), [*verb, "--json"], "impressions") == 4
    assert "defect" not in capsys.readouterr().out


def test_errors_of_others_are_left_alone() -> None:
    """A plain connection error or a bug may be anybody's; an open commit is its caller's."""
    from pyiceberg.exceptions import CommitStateUnknownException

    for error in (
        ConnectionError("refused"),
        ValueError("file is not a database"),
        CommitStateUnknownException("timeout"),
        ServiceError("known already"),
    ):
        assert as_catalog_error(error) is None


def test_the_cause_behind_another_error_counts() -> None:
    """Libraries wrap what they got."""
    error = RuntimeError("cannot load")
    error.__cause__ = sqlite3.DatabaseError("database disk image is malformed")
    assert isinstance(as_catalog_error(error), CorruptData)
