"""Compiled code of one place is never taken for that of another.

numba finds code by the path of its source. A second clone of the same sources once looked compiled,
was not, and each of its servers compiled for ten seconds without a word.
"""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import impressions

pytest.importorskip("llvmlite")
from impressions.compiled import cache
from impressions.compiled.cache import digest
from impressions.settings import paths

HERE = Path(impressions.__file__).parent


@pytest.fixture
def clone(tmp_path):
    """The same sources elsewhere, with their times."""
    return shutil.copytree(HERE, tmp_path / "impressions")


def test_the_same_place_has_one_name():
    """Or nothing would ever be found again."""
    assert digest(HERE) == digest(HERE)


def test_a_clone_has_another_name(clone):
    """Equal bytes in another directory."""
    assert digest(clone) != digest(HERE)


def test_a_touched_source_has_another_name(clone):
    """numba compares times; a file that is written again is compiled again."""
    before = digest(clone)
    os.utime(clone / "compiled" / "profile_kernels.py", ns=(1, 1))
    assert digest(clone) != before


def test_a_source_that_is_compiled_into_others_counts(clone):
    """A constant of another module is part of the compiled code."""
    before, source = digest(clone), clone / "core" / "spec.py"
    times = source.stat()
    source.write_text(source.read_text() + "# changed\n")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(clone) != before


def test_what_was_compiled_is_known_by_name():
    """One function in the cache says nothing of another."""
    pytest.importorskip("impressions.compiled.flush_kernels")
    assert cache.is_filled("scan")
    assert not cache.is_filled("scan_")


@pytest.mark.parametrize(
    "error", [RuntimeError("no locator available"), OSError("full"), EOFError(), ValueError()]
)
def test_where_code_cannot_be_kept_it_is_compiled_all_the_same(monkeypatch, error):
    """numba refuses to cache where it may not write, and stumbles over files that are not its."""
    import numba

    def njit(signature, *, cache=False, **options):
        if cache:
            raise error
        return lambda function: (function, options)

    monkeypatch.setattr(numba, "njit", njit)
    assert cache.kept("f8(f8)")(abs)[0] is abs


@pytest.fixture
def kept_function(monkeypatch, tmp_path):
    """Defines a function of `kept`, whose files are in a directory of this test; with it."""
    numba = pytest.importorskip("numba")
    files = tmp_path / "files"
    files.mkdir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(files))
    monkeypatch.setattr(cache, "directory", lambda: files)
    source = tmp_path / "of_test.py"
    source.write_text(
        "from impressions.compiled.cache import kept\n"
        "@kept('int64(int64)')\n"
        "def plus_one(n):\n"
        "    return n + 1\n"
    )

    def define():
        spec = importlib.util.spec_from_file_location("of_test", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.plus_one, sorted(files.rglob("of_test.*"))

    return define


@pytest.mark.parametrize("which", [0, 1], ids=["code", "index"])
@pytest.mark.parametrize("junk", [b"", b"junk"])
def test_damaged_files_are_thrown_away_and_made_again(kept_function, caplog, which, junk):
    """Once, with a line in the log: the next process finds the code."""
    _, files = kept_function()
    assert [file.suffix for file in files] == [".nbc", ".nbi"]
    assert kept_function()[0].stats.cache_hits
    files[which].write_bytes(junk)
    again, _ = kept_function()
    assert (again(1), not again.stats.cache_hits) == (2, True)
    assert [r.getMessage().split()[0] for r in caplog.records] == ["compiled-again"]
    assert kept_function()[0].stats.cache_hits
    assert len(caplog.records) == 1


def test_damaged_files_that_cannot_be_removed_cost_a_compilation(
    kept_function, caplog, monkeypatch
):
    """Of a read-only cache; the log names the file."""
    _, files = kept_function()
    files[1].write_bytes(b"junk")

    def refused(self, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    function, _ = kept_function()
    assert function(1) == 2
    assert [r.getMessage().split()[0] for r in caplog.records] == ["not-cached", "not-cached"]
    assert files[1].name in caplog.text
    assert files[1].read_bytes() == b"junk"


@pytest.fixture
def no_usual_place(monkeypatch, tmp_path):
    """A cache that cannot be made; the temporary directory of this test."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(paths, "_usual", lambda _: (tmp_path / "file", None))  # as if it were there
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    paths.temporary_dir.cache_clear()
    cache._passing.cache_clear()
    yield tmp_path
    paths.temporary_dir.cache_clear()
    cache._passing.cache_clear()


def test_a_directory_that_cannot_be_made_is_replaced_by_one_that_processes_share(no_usual_place):
    """Or each worker would compile for itself, and not be ready in time."""
    found = cache.directory()
    assert found.is_dir()
    assert found.parent.parent == no_usual_place / f"impressions-cache-{os.getuid()}"
    assert cache.directory() == found


def test_where_no_directory_can_be_shared_there_is_one_for_this_process(
    no_usual_place, monkeypatch
):
    """The same one each time, or what one module compiled another would not find."""
    monkeypatch.setattr(cache, "temporary_dir", lambda: no_usual_place / "file")
    found = cache.directory()
    assert found.is_dir()
    assert found.name.startswith("impressions-compiled-")
    assert cache.directory() == found
