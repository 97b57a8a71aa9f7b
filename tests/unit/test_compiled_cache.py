"""Compiled code of one place is never taken for that of another.

numba finds code by the path of its source. A second clone of the same sources once looked compiled,
was not, and each of its servers compiled for ten seconds without a word.
"""

import os
import shutil
from pathlib import Path

import pytest

import impressions

pytest.importorskip("llvmlite")
from impressions.compiled import cache
from impressions.compiled.cache import digest

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


def test_a_directory_that_cannot_be_made_is_replaced_for_this_process(monkeypatch, tmp_path):
    """The same one each time, or what one module compiled another would not find."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = cache.directory()
    assert found.is_dir()
    assert tmp_path not in found.parents
    assert cache.directory() == found
