"""A short run of `make chaos` over the whole running system; a long one stands in the documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SEED = int(os.environ.get("SEED", 20_261_121))
SECONDS = 60  # after a start that takes as long
LEAST_ROUNDS = 3

pytestmark = [
    pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow, pytest.mark.alone,
    pytest.mark.timeout(1_500),
]  # fmt: skip


def test_a_system_that_is_broken_again_and_again_answers_right(tmp_path: Path) -> None:
    """Whatever was broken, every answer is whole again, and none of those given meanwhile was
    wrong, or less than it said."""
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.chaos", "--seed", str(SEED), "--rounds", "12",
            "--brokers", "1", "--seconds", str(SECONDS), "--json",
            "--keep", str(tmp_path / "chaos"),
        ],
        capture_output=True, text=True, timeout=1_400,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {SEED}:\n{done.stderr[-6000:]}\n{done.stdout}"
    report = json.loads(done.stdout)
    assert report["failure"] is None
    assert sum(fault["fired"] for fault in report["faults"]) == report["rounds"] >= LEAST_ROUNDS
    for fault in report["faults"]:
        assert (fault["lost"], fault["twice"], fault["wrong"]) == (0, 0, 0), fault
        assert fault["answers"] > 1_000, fault
