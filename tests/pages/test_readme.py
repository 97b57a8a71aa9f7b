"""Every block of README works as it stands, in a directory of its own, and prints what README says.

One thing is changed: the port, because another server may have README's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from impressions.local.ports import free_ports
from tests.pages.blocks import Block, blocks, shows

ROOT = Path(__file__).parents[2]
BLOCKS = blocks(ROOT / "README.md")
ADDRESS = "127.0.0.1:50051"
SEEN_WITHIN_S = 60  # the machine may be busy


class Reader:
    """Somebody who types README's lines into a terminal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{next(free_ports())}"
        (directory / ".venv").symlink_to(sys.prefix)
        bin_dir = str(Path(sys.executable).parent)
        self.environment = os.environ | {
            "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
            "IMPRESSIONS_SERVING__LISTEN": self.address,
            "COLUMNS": "200",
        }

    def does(self, block: Block) -> None:
        """Runs a block; what only reads is asked again until it shows what README shows."""
        deadline_s = time.monotonic() + SEEN_WITHIN_S
        while True:
            printed = self._run(block)
            if block.sample is None or _shows(block.sample, printed):
                return
            again = _only_reads(block) and time.monotonic() < deadline_s
            assert again, f"README.md:{block.line} printed:\n{printed}\nexpected:\n{block.sample}"

    def _run(self, block: Block) -> str:
        text = block.text.replace(ADDRESS, self.address)
        shell = ["bash", "-euo", "pipefail", "-c"]
        command = [sys.executable, "-c", text] if block.kind == "python" else [*shell, text]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"README.md:{block.line}:\n{text}\n{done.stdout}"
        return done.stdout


def _shows(sample: str, printed: str) -> bool:
    """A stage that takes more than two seconds says so in a line: a slow machine prints more."""
    return shows(sample, printed) or shows(sample, _STAGE.sub("", printed))


_STAGE = re.compile(
    r"^[^:\n]+: (?:[\d.,]+(?: [KMGT]?i?B)? in )?[\d.]+ (?:s|min \d+ s)\n", re.MULTILINE
)


def _only_reads(block: Block) -> bool:
    return all(line.startswith("impressions get ") for line in block.text.splitlines())


def _of_make(block: Block) -> bool:
    return all(line.startswith("make ") for line in block.text.splitlines())


def _stops(block: Block) -> bool:
    return block.text.strip() == "impressions dev down"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    person = Reader(tmp_path)
    yield person
    for block in BLOCKS:
        if _stops(block):
            person.does(block)


@pytest.mark.spark
@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_line_works_and_prints_what_is_shown(reader: Reader) -> None:
    """The shell's blocks in order, then the Python that needs the system they made."""
    typed = [b for b in BLOCKS if b.kind == "sh" and not _of_make(b) and not _stops(b)]
    python = [b for b in BLOCKS if b.kind == "python"]
    assert len(typed) >= 5
    assert len(python) == 2
    for block in (*typed, *python):
        reader.does(block)


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """A block of another kind would be shown and never tried."""
    assert {block.kind for block in BLOCKS} <= {"sh", "python"}
    assert [b.line for b in BLOCKS if _stops(b)] != [], "README says how to stop"


@pytest.mark.parametrize("block", [b for b in BLOCKS if _of_make(b)], ids=lambda b: b.text[:9])
def test_the_commands_of_make_exist(block: Block) -> None:
    """They are run by hand and by CI; here make says what it would do."""
    for line in block.text.splitlines():
        target = line.partition("#")[0].split()[1]
        done = subprocess.run(["make", "-n", "-C", ROOT, target], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
