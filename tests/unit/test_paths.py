"""The cache directory of a user with a home, without one, and with one to read only."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from impressions.settings import paths

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    paths.temporary_dir.cache_clear()


def test_the_usual_place_is_named_by_xdg_or_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not exist: whoever keeps something makes it."""
    home = tempfile.gettempdir()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    assert paths.cache_dir() == Path(home, ".cache", "impressions")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{home}/x")
    assert paths.cache_dir() == Path(home, "x", "impressions")
    assert paths.why_elsewhere() is None
    assert os.listdir(home) == []


def test_a_user_without_a_home_gets_a_temporary_place_that_is_its_own() -> None:
    """A container's uid that no passwd file knows, and no HOME: the same place each time."""
    script = "from impressions.settings.paths import *; print(cache_dir()); print(why_elsewhere())"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    code = f"import pwd\ndef no(uid): raise KeyError(uid)\npwd.getpwuid = no\n{script}"
    with tempfile.TemporaryDirectory() as own:
        said = [
            subprocess.run(
                [sys.executable, "-c", code], env=environment | {"TMPDIR": own},
                capture_output=True, text=True, check=True,
            ).stdout.splitlines()
            for _ in range(2)
        ]  # fmt: skip
        place, why = said[0]
        assert said[0] == said[1]
        assert place == f"{own}/impressions-cache-{os.getuid()}"
        assert "no home directory" in why
        assert Path(place).stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_written_is_used_only_if_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may bring the jars; what is not there cannot be made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in (paths.why_elsewhere() or "")
    assert paths.cache_dir().parent == tmp_path
    (tmp_path / "cache" / "impressions").mkdir(parents=True)
    assert paths.cache_dir() == tmp_path / "cache" / "impressions"


def test_a_temporary_place_that_others_may_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code is loaded from it: a symlink or an open directory of that name is left alone."""
    monkeypatch.setattr(paths, "_usual", lambda environ: (None, "no home"))
    place = tmp_path / f"impressions-cache-{os.getuid()}"
    place.symlink_to(tmp_path)
    first = paths.cache_dir()
    assert first not in (place, tmp_path)
    place.unlink()
    place.mkdir()
    place.chmod(0o777)
    paths.temporary_dir.cache_clear()
    assert paths.cache_dir() not in (place, first)
