"""The limit of open files, descriptors held back, and what is said without any."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from impressions.core.errors import CorruptData
from impressions.process.command import report
from impressions.process.descriptors import Spare, TooManyFiles, exhausted
from impressions.rocksdb import delta_table, generation_store

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
from impressions.process.descriptors import raise_limit
print(raise_limit(int(sys.argv[2])), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("hard", "wanted", "found"), [(512, 256, "256 256 512"), (512, 1 << 16, "512 512 512")]
)
def test_the_soft_limit_is_raised_as_far_as_the_hard_one_allows(hard, wanted, found):
    """From 64."""
    command = [sys.executable, "-c", LIMITED, str(hard), str(wanted)]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == found
    )


def test_every_verb_raises_it_and_its_children_have_it():
    """`impressions config` under a soft limit of 128."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = (
        "import resource, sys; from impressions.cli.main import main; sys.argv[1:] = ['config']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('limit', resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard)),
    )
    assert int(done.stdout.rpartition("limit ")[2]) > 128, done.stderr


def test_what_is_lent_can_be_opened_and_comes_back():
    """Five held; all five are free in the block, and held again after it."""
    spare = Spare(5)
    spare.refill()
    held = len(os.listdir("/proc/self/fd"))
    with spare.lent():
        assert len(os.listdir("/proc/self/fd")) == held - 5
    assert len(os.listdir("/proc/self/fd")) == held
    spare.close()
    assert len(os.listdir("/proc/self/fd")) == held - 5


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        Exception("IO error: While open a file for random read: 000012.sst: Too many open files"),
        Exception("IO error: While lock file: LOCK: Too many open files"),
    ],
)
def test_a_lack_of_descriptors_is_named_as_such_by_whoever_meets_it(error, capsys):
    """Also behind another error; exit 8 and the line that helps."""
    wrapped = CorruptData("a block cannot be read")
    wrapped.__cause__ = error
    for met in (error, wrapped):
        assert isinstance(exhausted(met), TooManyFiles)
        assert report(met, as_json=False) == 8
        assert "ulimit -n" in capsys.readouterr().err
    assert isinstance(delta_table._failure(error, None), TooManyFiles)


def test_other_errors_stay_what_they_are():
    assert exhausted(OSError(errno.ENOENT, "No such file")) is None
    assert exhausted(CorruptData("flipped")) is None


STARVED = """
import os, resource, sys
from pathlib import Path
from impressions.core.errors import ImpressionsError
from impressions.rocksdb import delta_table, generation_store
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
taken = []
try:
    while True: taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for left in range(12):
    for open_it in (
        lambda: generation_store.open_read_only(path / "store", range(2)),
        lambda: delta_table.open_primary(path / "table", 8),
        lambda: delta_table.open_secondary(path / "table", path / "own", 8),
    ):
        try:
            open_it().close()
        except ImpressionsError as error:
            print(error.reason)
    os.close(taken.pop())
"""


def test_a_store_that_cannot_be_opened_for_lack_of_descriptors_is_not_called_damaged(tmp_path):
    """With 0 to 11 descriptors left: a real RocksDB, every way to open one."""
    generation_store.create(tmp_path / "store", {0: [], 1: []})
    delta_table.open_primary(tmp_path / "table", 8).close()
    (tmp_path / "own").mkdir()
    command = [sys.executable, "-c", STARVED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    reasons = done.stdout.split()
    assert set(reasons) == {"too_many_files"}, (reasons, done.stderr)
    assert len(reasons) > 6


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    error = RuntimeError("other")
    error.__cause__ = error
    assert exhausted(error) is None
