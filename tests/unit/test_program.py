"""A process of ours ends with its own code, whoever else is in it and however early it is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What reading a CSV leaves behind when a file is refused after its first rows: Arrow's thread is in
# Python code while the program ends.
_READ_AHEAD = """
import io, sys, time
import pyarrow as pa
from pyarrow import csv
from impressions.process import lifetime

class Slow(io.RawIOBase):
    reads = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.reads += 1
        until_s = time.monotonic() + 0.01 * (self.reads > 1)
        while time.monotonic() < until_s:
            pass
        line = b"1,2\\n"
        buffer[:] = line * (len(buffer) // len(line))
        return len(buffer)

lifetime.begin()
stream = Slow()
reader = csv.open_csv(
    pa.PythonFile(stream, mode="r"),
    read_options=csv.ReadOptions(use_threads=False, block_size=1 << 16, column_names=["a", "b"]),
)
reader.read_next_batch()
read = stream.reads
while stream.reads == read:  # it does read ahead
    pass
lifetime.leave(5)
"""

_WAITING = """
import sys, time
from impressions.process import lifetime
lifetime.begin(service="service" in sys.argv)
print("begun", flush=True)
time.sleep(60)
"""


def test_a_thread_of_arrow_that_still_reads_does_not_abort_the_program() -> None:
    """By Python's own end, four of five such processes were ended by SIGABRT."""
    codes = [
        subprocess.run([sys.executable, "-c", _READ_AHEAD], cwd=ROOT, timeout=60).returncode
        for _ in range(5)
    ]
    assert codes == [5] * 5


def test_what_is_registered_for_the_end_runs_and_output_arrives() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import atexit; from impressions.process import lifetime\n"
         "lifetime.begin(); atexit.register(print, 'registered')\n"
         "print('printed'); lifetime.leave(0)"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (said.stdout, said.stderr) == ("printed\nregistered\n", "")


def test_an_exception_that_nobody_catches_is_shown_and_is_exit_1() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from impressions.process import lifetime\nlifetime.begin(); 1 / 0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize(("kind", "code"), [("service", 0), ("task", -signal.SIGTERM)])
def test_a_service_that_is_stopped_before_it_has_begun_exits_0(kind: str, code: int) -> None:
    """What has a task to do did not do it, and says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WAITING, kind], cwd=ROOT, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.terminate()
        assert process.wait(30) == code


@pytest.mark.parametrize(("kind", "code"), [("service", 0), ("task", 128 + signal.SIGTERM)])
def test_the_first_process_of_a_container_is_stopped_too(kind: str, code: int) -> None:
    """The kernel keeps SIGTERM from a process 1 that has no handler for it."""
    if not _can_unshare():
        pytest.skip("a name space of processes cannot be made here")
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", sys.executable, "-c", _WAITING, kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)
        assert process.wait(30) == code


def _can_unshare() -> bool:
    tool = shutil.which("unshare")
    return (
        bool(tool)
        and not subprocess.run(
            [str(tool), "--pid", "--fork", "true"], capture_output=True
        ).returncode
    )
