"""`python -m tests.faults.skewed_worker`: a worker whose clock is wrong by what a file says.

The file (SKEW_FILE) holds milliseconds and may change while the worker runs.
"""

import os
from pathlib import Path

from impressions.clock import now_ms
from impressions.process.command import run
from speed import main

FILE = Path(os.environ["SKEW_FILE"])


def skewed_ms() -> int:
    return now_ms() + int(FILE.read_text())


main.now_ms = skewed_ms
run(main.command)
